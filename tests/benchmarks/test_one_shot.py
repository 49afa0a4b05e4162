"""benchmarks/one_shot.py: the figures of runs made by hand, and the table."""

import json
from types import SimpleNamespace

import pytest
from material import ROOT
from one_shot import baselines, build_recipe, how_made, intervals, print_table, read_rows, run_one, summary

RISING = [0.0, 25.0, 50.0, 75.0, 100.0]


def episode(kind: str, forward: list[float], success: bool = True, name: str = "a", **fields) -> dict:
    labels = RISING if success else [0.0, 10.0, 10.0, 10.0, 10.0]
    row = {"episode": name, "kind": kind, "success": success, "labels": labels, "forward": forward}
    return row | {"backward": forward[::-1], "parse_rate": 1.0} | fields


def run(episodes: list[dict], seed: int = 0, family: str = "f", setting: str = "default") -> dict:
    return {"setting": setting, "family": family, "seed": seed, "train_seconds": 10.0, "episodes": episodes}


def test_every_kind_of_episode_counts_for_its_own_figures():
    rows = [
        run(
            [
                episode("success", RISING, wrong_task=[10.0, 30.0]),
                episode("recovery", RISING[::-1]),
                episode("camera", RISING[::-1], parse_rate=0.0),
                episode("failure", [0.0, 0.0, 0.0, 0.0, 89.0], success=False),
            ]
        )
    ]
    figures = summary(rows)
    assert (figures["voc"], figures["cycle_voc"], figures["mae"]) == pytest.approx((1.0, 1.0, 0.0))
    assert figures["recovery_voc"] == figures["camera_voc"] == pytest.approx(-1.0)
    assert figures["failures_below_90"] == 1.0 and figures["wrong_task"] == 20.0 and figures["parse_rate"] == 1.0
    assert figures["auroc"] == 0.5  # the success ends above the failure, the recovery below it


def test_a_failure_read_as_done_is_none_below_90():
    assert summary([run([episode("failure", RISING, success=False)])])["failures_below_90"] == 0.0


def test_intervals_are_over_episodes_and_not_over_seeds():
    rows = [
        run([episode("success", RISING, name="a"), episode("success", RISING[::-1], name="b")], seed)
        for seed in range(3)
    ]
    assert intervals(rows)["voc"] == pytest.approx((-1.0, 1.0))
    assert intervals([run([episode("success", RISING)], seed) for seed in range(3)])["voc"] is None  # one episode


def test_a_clock_orders_a_success_and_no_cycle():
    time, constant = (summary([row]) for row in baselines(run([episode("success", RISING)])))
    assert time["voc"] == pytest.approx(1.0) and time["cycle_voc"] == pytest.approx(0.0, abs=0.01)
    assert constant["voc"] is None and constant["mae"] == 30.0 and constant["parse_rate"] is None


def test_the_table_has_a_row_per_setting_and_says_the_spread(tmp_path, capsys):
    for seed, forward in enumerate((RISING, RISING[::-1])):
        row = run([episode("success", forward)], seed)
        (tmp_path / f"default--f--{seed}.json").write_text(json.dumps(row))
    print_table(SimpleNamespace(output=tmp_path, families=None, per_family=False, plot=tmp_path / "plot.png"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| time baseline", "| constant baseline", "| default"]
    assert "0.00 ± 1.00" in lines[-1] and (tmp_path / "plot.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="holds no results"):
        print_table(SimpleNamespace(output=tmp_path / "none", families=None, per_family=False, plot=None))


def test_what_is_there_or_under_way_is_left_alone_and_never_taken_for_another(tmp_path, capsys):
    family, other = tmp_path / "f", tmp_path / "g"
    for folder in (family, other):
        folder.mkdir()
        (folder / "demo.json").write_text(json.dumps({"task": f"Do {folder.name}"}))
    recipe = str(ROOT / "recipes" / "nano.yaml")
    arguments = SimpleNamespace(
        output=tmp_path, families=[family, other], recipe=recipe, model=None, max_sampled_frames=None
    )
    file = tmp_path / "default--f--0.json"
    way = how_made(build_recipe({}, [family / "demo.json"], 0, file.with_suffix(""), arguments), {}, family, arguments)
    file.write_text(json.dumps(run([episode("success", RISING)]) | {"way": way}))
    (tmp_path / "default--f--1.claim").touch()
    for seed in (0, 1):
        run_one("default", {}, family, seed, arguments)
    assert "another process works on it" in capsys.readouterr().out
    run_one("many", {"demonstrations": 2}, family, 0, arguments)
    assert "the setting needs 2: left out" in capsys.readouterr().out
    assert len(read_rows(tmp_path, None)) == 1

    for change in ({"model": "another"}, {"max_sampled_frames": 8}, {"families": [family]}):
        with pytest.raises(ValueError, match="was made with another recipe or other frames or families"):
            run_one("default", {}, family, 0, SimpleNamespace(**vars(arguments) | change))
    with pytest.raises(ValueError, match="was made with another recipe"):
        run_one("default", {"overrides": ["lora.r=4"]}, family, 0, arguments)
