import json
import re
import shutil
from pathlib import Path

import pytest
from report_material import good_results, make_report_of

from infer.report.compare.comparison import (
    DEMONSTRATIONS,
    READOUT,
    WINDOW,
    compare,
    read_run,
    run_names,
)
from infer.report.compare.page import panels
from infer.report.compare.table import as_markdown, as_text, table
from infer.report.compare.write import compare_reports

BASE = {"voc": 0.1, "cycle_voc": 0.0, "mae": 40.0, "final": 50.0, "parse_rate": 1.0, "stage_accuracy": 0.2}


def write_report(
    folder: Path, cycle_voc: float | None, demos: int = 1, size: int = 8, seed: int = 0, readout: str = "text", **fields
) -> str:
    """Write a report.json of the present form into a folder."""
    figures = {"voc": 0.9, "cycle_voc": cycle_voc, "mae": 10.0, "final": 99.0, "parse_rate": 1.0, "stage_accuracy": 0.7}
    recipe = {
        "model": "base",
        "data": {"annotations": [f"{seed}.json"], "window": {"size": size}, "sampling": {"every": 1, "seed": seed}},
        "lora": {"r": 16, "target_modules": ["q_proj", "v_proj"]},
        "sft": {"output_dir": str(folder), "seed": seed, "num_train_epochs": 6},
    }
    report = {
        "format": 2,
        "task": "Open the drawer",
        "judged": "adapter",
        "verdict": {"outcome": "adopt"},
        "successes": {
            "adapter": figures,
            "base": BASE,
            "intervals": {
                "adapter": {name: None if v is None else [v - 0.05, v + 0.05] for name, v in figures.items()}
            },
        },
        "failures": {"adapter": {"mae": 25.0}, "base": {"mae": None}, "intervals": {"adapter": {"mae": None}}},
        "success": {"threshold": 95.0, "adapter": {"auroc": 0.75}, "base": {"auroc": 0.5}},
        "provenance": {
            "base": "base",
            "training_demonstrations": demos,
            "window": {"size": size, "rate_hz": 6.25},
            "readout": readout,
            "seed": seed,
            "lora_rank": 16,
            "recipe": recipe,
            "episodes": [{"episode": "a", "fingerprint": "f-a", "held_out": True}],
        },
        "episodes": [{"episode": "a", "held_out": True}],
        **fields,
    }
    folder.mkdir(parents=True)
    path = folder / "report.json"
    path.write_text(json.dumps(report))
    return str(path)


def read(paths):
    return compare([read_run(path, name) for path, name in zip(paths, run_names(paths), strict=True)])


def test_seeds_of_one_setting_are_one_row_with_their_spread(tmp_path):
    paths = [write_report(tmp_path / f"s{seed}", value, seed=seed) for seed, value in enumerate([0.6, 0.8, 0.7])]
    comparison = read(paths)
    (row,) = comparison.rows
    figure = row.figures["cycle_voc"]
    assert (figure.mean, figure.low, figure.high, figure.spread) == (pytest.approx(0.7), 0.6, 0.8, "runs")
    assert comparison.differs == () and comparison.notes == ()
    assert panels(comparison) == ["seed"]
    assert "0.70 [0.60, 0.80]" in as_text(comparison) and "seeds 0, 1, 2" in as_text(comparison)


def test_a_single_run_has_its_interval_over_the_episodes(tmp_path):
    figure = read([write_report(tmp_path / "one", 0.6)]).rows[0].figures["cycle_voc"]
    assert (figure.low, figure.high, figure.spread) == (pytest.approx(0.55), pytest.approx(0.65), "episodes")


def test_what_differs_makes_rows_in_order_and_panels(tmp_path):
    paths = [
        write_report(tmp_path / f"d{demos}w{size}{readout}", 0.5, demos=demos, size=size, readout=readout)
        for demos, size, readout in ((10, 8, "text"), (2, 8, "text"), (2, 4, "text"), (2, 4, "expected"))
    ]
    comparison = read(paths)
    assert set(comparison.differs) == {DEMONSTRATIONS, WINDOW, READOUT}
    assert [row.setting[DEMONSTRATIONS] for row in comparison.rows] == [2, 2, 2, 10]
    assert panels(comparison) == [DEMONSTRATIONS, WINDOW, READOUT]


def test_any_value_of_the_recipe_may_be_what_differs(tmp_path):
    paths = [write_report(tmp_path / "a", 0.5), write_report(tmp_path / "b", 0.6)]
    report = json.loads(Path(paths[1]).read_text())
    report["provenance"]["recipe"]["sft"]["num_train_epochs"] = 3
    Path(paths[1]).write_text(json.dumps(report))
    comparison = read(paths)
    assert comparison.differs == ("sft.num_train_epochs",)
    assert [row.runs[0].name for row in comparison.rows] == ["b", "a"]


def test_successes_and_failures_are_told_apart(tmp_path):
    run = read([write_report(tmp_path / "a", 0.8)]).runs[0]
    assert (run.figures["mae"], run.figures["failures: mae"], run.figures["end_auroc"]) == (10.0, 25.0, 0.75)
    assert run.base_figures["failures: mae"] is None and run.base_figures["mae"] == 40.0
    assert run.intervals["failures: mae"] is None and run.intervals["end_auroc"] is None


def test_a_base_stands_beside_its_adapters_as_no_demonstration(tmp_path):
    paths = [write_report(tmp_path / f"s{seed}", 0.8, seed=seed) for seed in (0, 1)]
    report = json.loads(Path(paths[0]).read_text())
    report["judged"] = "base"
    report["successes"]["intervals"]["base"] = report["failures"]["intervals"]["base"] = dict.fromkeys(BASE)
    report["provenance"] |= {"training_demonstrations": None, "seed": None, "lora_rank": None, "recipe": None}
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "report.json").write_text(json.dumps(report))
    comparison = read([*paths, str(tmp_path / "base" / "report.json")])
    assert comparison.differs == (DEMONSTRATIONS,)
    assert [(row.setting[DEMONSTRATIONS], len(row.runs)) for row in comparison.rows] == [(0, 1), (1, 2)]
    assert comparison.rows[0].figures["mae"].mean == 40.0


def test_other_tasks_and_other_episodes_are_not_taken_together(tmp_path):
    same = write_report(tmp_path / "a", 0.8)
    other_task = write_report(tmp_path / "b", 0.4, task="Close the drawer")
    comparison = read([same, other_task])
    assert len(comparison.rows) == 2 and "of 2 tasks" in comparison.notes[0]
    assert table(comparison)[0][0] == "task"

    other_episode = write_report(tmp_path / "c", 0.4)
    report = json.loads(Path(other_episode).read_text())
    report["provenance"]["episodes"][0]["fingerprint"] = "f-b"
    Path(other_episode).write_text(json.dumps(report))
    comparison = read([same, other_episode])
    assert len(comparison.rows) == 2 and "different held-out episodes" in comparison.notes[0]


def test_the_undefined_stays_a_dash(tmp_path):
    comparison = read([write_report(tmp_path / "a", None)])
    assert comparison.rows[0].figures["cycle_voc"].mean is None
    assert "| - |" in as_markdown(comparison)


def test_files_are_written_and_the_page_opens_offline(tmp_path, capsys):
    paths = [
        write_report(tmp_path / f"d{demos}s{seed}", 0.5 + demos / 10, demos=demos, seed=seed)
        for demos in (1, 2)
        for seed in (0, 1)
    ]
    compare_reports(paths, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert [len(row["runs"]) for row in document["rows"]] == [2, 2]
    assert document["rows"][0]["figures"]["cycle_voc"]["mean"] == 0.6
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "<svg" in page and "prefers-color-scheme: dark" in page and "http" not in page
    assert (tmp_path / "out" / "compare.md").read_text().startswith("# Runs compared")
    assert "demonstrations" in capsys.readouterr().out


def test_names_are_the_shortest_that_tell_runs_apart():
    assert run_names(["runs/a/report.json", "runs/b/report.json"]) == ["a", "b"]
    assert run_names(["x/a/report.json", "y/a/report.json"]) == ["x/a", "y/a"]
    with pytest.raises(ValueError, match="a report is given twice"):
        run_names(["a/report.json", "a/report.json"])


@pytest.mark.parametrize(("text", "message"), [
    ("{", "is no report, because it is no JSON; name the report.json that"),
    ("\xff", "is no report, because it is no JSON"),
    ("[]", "is no report, but another JSON file; name"),
    ('{"stages": []}', "is no report, but an annotation; name"),
    ('{"differs": [], "rows": []}', "is no report, but a comparison of reports"),
    ('{"judged": "adapter"}', "is a report of another version (it has no 'provenance'); make it again"),
])  # fmt: skip
def test_a_file_that_is_no_report_is_one_clear_message(tmp_path, text, message):
    (tmp_path / "report.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=re.escape(message)):
        read_run(tmp_path / "report.json", "x")
    with pytest.raises(ValueError, match="no such file"):
        read_run(tmp_path / "none.json", "x")


def test_a_copied_report_counts_once(tmp_path):
    path = write_report(tmp_path / "mine", 0.6)
    shutil.copytree(tmp_path / "mine", tmp_path / "mine copy")
    other = write_report(tmp_path / "seed1", 0.8, seed=1)
    comparison = read([path, str(tmp_path / "mine copy" / "report.json"), other])
    assert [run.name for run in comparison.runs] == ["mine", "seed1"]
    assert comparison.rows[0].figures["cycle_voc"].mean == pytest.approx(0.7)
    assert comparison.notes == ("mine copy is a copy of mine (same seed, same figures): counted once.",)
    assert "seeds 0, 1" in as_text(comparison)


def test_a_figure_that_is_undefined_on_an_episode_is_noted(tmp_path):
    path = write_report(tmp_path / "flat", 0.95)
    report = json.loads(Path(path).read_text())
    report["successes"]["undefined"] = {"adapter": {"cycle_voc": 1, "ccc": 1}}
    Path(path).write_text(json.dumps(report))
    assert read([path]).notes == ("flat: cycle_voc is undefined on 1 held-out episodes, which are not in its mean.",)


def test_the_report_that_is_written_today_is_read_in_full(video, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(make_report_of(good_results(video)).document))
    run = read_run(tmp_path / "report.json", "x")
    assert run.verdict == "adopt" and run.seed == 0
    assert (run.setting[DEMONSTRATIONS], run.setting[WINDOW], run.setting[READOUT]) == (1, 8, "text")
    assert None not in (run.figures["cycle_voc"], run.base_figures["mae"], run.intervals["mae"])
