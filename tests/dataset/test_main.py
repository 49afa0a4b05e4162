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


def test_what_to_write_must_be_said(annotation_path):
    with pytest.raises(ValueError, match="--output is missing"):
        run(annotation_path)
    with pytest.raises(ValueError, match="no annotations were given"):
        run("--check")
