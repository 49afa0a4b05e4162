"""`python -m dataset` in-process: every output that it can be asked for, and moved videos."""

import json

import pytest

from dataset.__main__ import main, make_parser
from dataset.annotation_file import read_annotation
from dataset.formats.conversations import CONVERSATIONS
from dataset.sample_file import from_dataset, read_samples


def run(*words) -> int:
    return main(make_parser().parse_intermixed_args([str(word) for word in words]))


def test_samples_preview_and_export_in_one_go(annotation_path, tmp_path, capsys):
    samples, page, folder = tmp_path / "s.jsonl", tmp_path / "p.html", tmp_path / "export"
    words = ("--output", samples, "--preview", page, "--export", folder, "data.sampling.held_share=1.0")
    assert run(annotation_path, *words, "data.labels=visual") == 0
    rows = from_dataset(read_samples(samples))
    assert {row.direction for row in rows} == {"forward", "held"}
    assert len((folder / CONVERSATIONS).read_text().splitlines()) == len(rows)
    assert "visual labels" in page.read_text()
    printed = capsys.readouterr().out
    assert f"wrote {len(rows)} samples ({len(rows) // 2} forward, {len(rows) // 2} held)" in printed
    assert f"wrote {len(rows)} conversations" in printed


def test_an_annotation_follows_its_video(annotation_path, tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    annotation_path.with_suffix(".mp4").rename(tmp_path / "raw" / "x.mp4")
    assert run(annotation_path, "--check") == 0
    assert "a file with the same content is at" in " ".join(capsys.readouterr().out.split())
    assert run(annotation_path, "--check", "--update_videos") == 0
    assert read_annotation(annotation_path).video == "raw/x.mp4"
    assert "0 error(s), 0 warning(s)" in capsys.readouterr().out


def test_errors_are_listed_by_check_and_stop_everything_else(annotation_path, tmp_path, capsys):
    document = json.loads(annotation_path.read_text())
    document["stages"][1]["start"] = 5
    annotation_path.write_text(json.dumps(document))
    assert run(annotation_path, "--check") == 2
    assert "stage 2, start" in capsys.readouterr().out
    with pytest.raises(ValueError, match="stages must not overlap"):
        run(annotation_path, "--output", tmp_path / "s.jsonl")
    assert not (tmp_path / "s.jsonl").exists()


def test_no_output_replaces_an_input(annotation_path, tmp_path):
    video, kept = annotation_path.with_suffix(".mp4"), annotation_path.read_bytes()
    samples = tmp_path / "s.jsonl"
    samples.symlink_to(annotation_path)  # another name of the same file
    (tmp_path / "folder.jsonl").mkdir()
    for words, message in (
        (("--output", annotation_path), "demo.json is also read by this command; name another file"),
        (("--output", samples), "s.jsonl is also read"),
        (("--preview", annotation_path), "demo.json is also read"),
        (("--preview", video), "demo.mp4 is also read"),
        (("--output", tmp_path / "a.jsonl", "--preview", tmp_path / "a.jsonl"), "a.jsonl is also read"),
        (("--output", tmp_path / "folder.jsonl"), "folder.jsonl is a folder; name a file in it"),
        (("--output", tmp_path / "s.csv"), r"s.csv: the name must end in .jsonl or .parquet"),
        (("--preview", annotation_path / "p.html"), "a file is where its folder should be"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            run(annotation_path, *words)
    assert annotation_path.read_bytes() == kept and video.stat().st_size > 1000


def test_a_folder_and_a_glob_of_annotations(annotation_path, tmp_path, capsys):
    (tmp_path / "day2").mkdir()
    document = json.loads(annotation_path.read_text())
    (tmp_path / "day2" / "b.json").write_text(json.dumps(document | {"video": "../demo.mp4"}))
    for named in (tmp_path, tmp_path / "**" / "*.json"):
        assert run(named, "--check") == 0
        assert "checked 2 demonstration(s)" in capsys.readouterr().out


def test_what_to_write_must_be_said(annotation_path):
    with pytest.raises(ValueError, match="--output is missing"):
        run(annotation_path)
    with pytest.raises(ValueError, match="no annotations were given"):
        run("--check")
