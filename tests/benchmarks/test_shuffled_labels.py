import json

import pytest
from material import DEMO, ROOT
from shuffled_labels import main, make_parser, shuffle_answers

from dataset.demonstration import read_demonstrations
from dataset.samples import build_sample_set
from dataset.window import WindowSpec
from train.recipe import read_recipe


def test_windows_stay_and_answers_are_dealt_out_again():
    recipe = read_recipe(ROOT / "recipes" / "nano.yaml", ["data.annotations=[x]"])
    samples = build_sample_set(
        read_demonstrations([DEMO / "demo.json"]), WindowSpec(size=2, stride=4), recipe.data.sampling
    )
    shuffled = shuffle_answers(samples, 0)
    assert [one.window_frame_indices for one in shuffled] == [one.window_frame_indices for one in samples]
    assert sorted(one.completion for one in shuffled) == sorted(one.completion for one in samples)
    assert sum(a.completion != b.completion for a, b in zip(samples, shuffled, strict=True)) > len(samples) // 2
    answers = {one.completion: one.progress for one in samples}
    assert all(answers[one.completion] == one.progress for one in shuffled)
    assert shuffle_answers(samples, 0) == shuffled != shuffle_answers(samples, 1)


@pytest.mark.slow
def test_a_bad_adapter_is_rejected(tmp_path):
    words = ["--output", str(tmp_path), "--max_sampled_frames", "16", "sft.max_steps=75"]
    assert main(make_parser().parse_args(words)) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verdict"]["outcome"] == "do not use" and report["verdict"]["findings"][0]["outcome"] == "do not use"
