import json

import pytest
from material import DEMO, NANO

from infer.records import read_records
from train.enough import main, make_parser
from train.rehearsal.page import _answer, _reasons
from train.rehearsal.perturbed import AS_RECORDED, RECORDINGS
from train.rehearsal.rehearsal import spread

OVERRIDES = (f"model={NANO}", "sft.max_steps=2", "sft.save_steps=1", "data.sampling.every=6")


def arguments(output, *more: str):
    return make_parser().parse_intermixed_args(
        [str(DEMO / "demo.json"), "--config", "recipes/nano.yaml", "--output", str(output), *more, *OVERRIDES]
    )


@pytest.mark.slow
def test_a_rehearsal_reads_every_frame_by_the_run_that_did_not_learn_it(tmp_path, capsys):
    output = tmp_path / "enough"
    main(arguments(output, "--folds", "2", "--max_frames", "12"))
    document = json.loads((output / "enough.json").read_text())
    assert len(document["curves"]["frames"]) == 12
    for number in (1, 2):
        samples = (output / f"fold-{number}" / "adapter" / "samples.jsonl").read_text().splitlines()
        learnt = {json.loads(line)["frame_index"] for line in samples}
        read = {
            row["frame_index"] for row in read_records(output / f"fold-{number}" / "readings" / "as_recorded.jsonl")
        }
        assert read and not read & learnt
    assert set(document["copies"]) == {copy.name for copy in RECORDINGS}
    page = (output / "enough.html").read_text()
    assert "<svg" in page and document["answer"] in page and "http" not in page
    shown = capsys.readouterr().out
    assert document["optimistic"] in shown

    # what is there is used: one reading is made again, and no run
    (output / "fold-2" / "readings" / "darker.jsonl").unlink()
    main(arguments(output, "--folds", "2", "--max_frames", "12"))
    assert "is complete; nothing to resume" in capsys.readouterr().out
    assert json.loads((output / "enough.json").read_text()) == document

    with pytest.raises(ValueError, match="holds a rehearsal with another folds"):
        main(arguments(output, "--folds", "3", "--max_frames", "12"))


def test_one_fold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--folds is 1; at least 2"):
        main(arguments(tmp_path, "--folds", "1"))
    given = arguments(tmp_path)
    given.annotation = str(DEMO / "held_out")
    with pytest.raises(ValueError, match=r"held_out stands for \d annotations; name one"):
        main(given)


def test_frames_are_spread_from_the_first_to_the_last():
    assert spread(5, 10) == [0, 1, 2, 3, 4]
    assert spread(101, 3) == [0, 50, 100]


def figures(recorded: float | None, darker: float | None, parsed: float | None = 1.0) -> dict:
    return {AS_RECORDED.name: {"mae": recorded, "parse_rate": parsed}, "darker": {"mae": darker, "parse_rate": 1.0}}


@pytest.mark.parametrize(
    ("copies", "stages", "reasons"),
    [
        (figures(5.0, 10.0), 0.9, []),
        (figures(5.0, 10.0), None, []),
        (figures(30.0, 10.0), 0.9, ["the mean error is 30 points"]),
        (figures(15.2, 10.0), 0.9, ["the mean error is 15.2 points (15 is good)"]),
        (figures(None, 10.0), 0.9, ["no answer holds a percentage"]),
        (figures(5.0, 10.0, 0.5), 0.9, ["only 50 % of the answers hold a percentage"]),
        (figures(5.0, 40.0), 0.9, ["darker: the mean error is 40 points (25 is good)"]),
        (figures(30.0, 40.0), 0.5, ["the mean error is 30 points", "the right step is named in 50 % of them"]),
    ],
)
def test_the_answer_names_what_speaks_against_one_demonstration(copies, stages, reasons):
    said = _reasons(copies, stages)
    assert len(said) == len(reasons) and all(text in line for text, line in zip(reasons, said, strict=True))
    assert _answer(said, 0, 9).startswith("No. On the held-out frames " if reasons else "It may be")
    assert ("2 of 9 segments" in _answer(said, 2, 9)) is not bool(reasons)
    assert len(_answer(said, 2, 9)) < 160  # one sentence that is read at once
