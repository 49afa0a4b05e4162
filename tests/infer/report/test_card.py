import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from material import DEMO, NANO
from report_material import good_results, make_answers, make_report_of, make_result

from dataset.demonstration import read_demonstrations
from infer.model.adapter_folder import RECIPE
from infer.model.errors import ModelError
from infer.model.source import ModelSource
from infer.report.__main__ import main, make_parser
from infer.report.card import _far_tasks, make_report, write_report
from infer.report.evaluate import EvaluationSpec


def test_files(video, tmp_path):
    write_report(make_report_of(good_results(video)), tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["verdict"]["outcome"] == "adopt"
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "report.md").read_text().startswith("# Report card")
    assert len((tmp_path / "predictions" / "failure.adapter.jsonl").read_text().splitlines()) == 4
    assert len(list((tmp_path / "predictions").iterdir())) == 8


def test_an_episode_that_was_trained_on_is_shown_and_counts_for_nothing(video, tmp_path):
    results = [replace(result, held_out=number > 0) for number, result in enumerate(good_results(video))]
    write_report(make_report_of(results), tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["successes"]["episodes"] == 2 and report["verdict"]["outcome"] == "need more demos"
    assert [row["held_out"] for row in report["episodes"]] == [False, True, True, True]
    page = (tmp_path / "report.html").read_text()
    assert "success_1: not held out." in page and page.count(">not held out<") == 1


@pytest.mark.parametrize(("labels", "count"), [("visual", 1), ("linear", 0)])
def test_visual_labels_are_a_notice(annotation_path, tmp_path, monkeypatch, labels, count):
    notices_given = []
    (tmp_path / "train_summary.json").write_text(json.dumps({"data": [
        {"annotation": "a.json", "video": "a.mp4", "fingerprint": "v2:1:0", "task": "t", "labels": labels}
    ], "seconds": 1.0}))  # fmt: skip

    def summarise(results, predictions, notices, *rest):
        notices_given.extend(notices)
        raise RuntimeError("reached")

    monkeypatch.setattr(
        "infer.model.model.ProgressModel.load",
        lambda *words: SimpleNamespace(progress_config=SimpleNamespace(tasks=())),
    )
    monkeypatch.setattr("infer.report.evaluate.evaluate", lambda *words: [])
    monkeypatch.setattr("infer.report.provenance.collect_provenance", lambda *words: {})
    monkeypatch.setattr("infer.report.provenance.measured_cost", lambda *words: {})
    monkeypatch.setattr("infer.report.summary.summarise", summarise)
    with pytest.raises(RuntimeError, match="reached"):
        make_report(ModelSource(str(tmp_path), True), [annotation_path], tmp_path / "out", EvaluationSpec())
    assert sum("data.labels: visual" in notice for notice in notices_given) == count
    assert any("0 of 1 training demonstrations (a.json)" in notice for notice in notices_given)


def test_two_episodes_of_one_file_name_have_their_own_predictions(video, tmp_path):
    results = [
        make_result(video, {"base": [value] * 4}, False, name, shortcuts=make_answers(success=False))
        for name, value in (("day1/ep0", 100.0), ("day2/ep0", 10.0))
    ]
    report = make_report_of(results)
    write_report(report, tmp_path)
    assert sorted(path.parent.name for path in tmp_path.glob("predictions/*/ep0.base.jsonl")) == ["day1", "day2"]
    assert [row["episode"] for row in report.document["episodes"]] == ["day1/ep0", "day2/ep0"]
    assert any("day1/ep0: 100 %" in finding.sentence for finding in report.verdict.findings)


def test_a_copy_of_an_episode_is_refused_before_the_model_loads(annotation_path, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (annotation_path, annotation_path.with_suffix(".mp4")):
        shutil.copy(path, copy / path.name)
    with pytest.raises(ValueError, match=r"copy/.*json and .*json are of one recording .*; name one of them"):
        make_report(ModelSource(str(NANO)), [annotation_path, copy / annotation_path.name], tmp_path / "out", None)


def test_other_tasks_are_far_from_the_recipe_and_drawn_by_its_seed(annotation_path, tmp_path):
    demonstrations = read_demonstrations([annotation_path])
    model = SimpleNamespace(progress_config=SimpleNamespace(tasks=("Peel the banana",)))
    source = ModelSource(str(tmp_path), use_lora=True)
    drawn = set()
    for seed in range(4):
        sampling = {"seed": seed, "wrong_tasks": ["Light the candle"]}
        (tmp_path / RECIPE).write_text(json.dumps({"data": {"sampling": sampling}}))
        drawn.add(_far_tasks(model, source, demonstrations))
    assert len(drawn) == 4
    assert not {"Peel the banana", "Light the candle"} & {text for texts in drawn for text in texts}


def test_an_adapter_flag_for_a_base_is_refused():
    words = ["--model_path", str(NANO), "--use_lora", "--annotations", str(DEMO / "demo.json"), "--output", "x"]
    with pytest.raises(ModelError, match="train_summary"):
        main(make_parser().parse_args(words))


@pytest.mark.slow
def test_a_base_alone_has_a_report(tmp_path, capsys):
    held_out = [str(DEMO / "held_out" / f"{name}.json") for name in ("success_1", "failure_stop")]
    main(
        make_parser().parse_args([
            "--model_path", str(NANO), "--annotations", *held_out, "--output", str(tmp_path),
            "--max_sampled_frames", "3", "--shortcut_windows", "1",
        ])
    )  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["readers"] == ["base", "clock", "constant"] and report["judged"] == "base"
    assert report["verdict"]["outcome"] != "adopt" and report["train"] == {}
    assert report["provenance"]["adapter"] is None and report["cost"]["ms_per_window"].keys() == {"base"}
    assert report["success"]["best_on_training"] is None
    assert not list((tmp_path / "predictions").glob("*.adapter.jsonl"))
    assert "verdict: " in capsys.readouterr().out
