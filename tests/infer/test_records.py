import json

import pytest

from infer.records import Prediction, RecordFile, make_records, read_records, write_records


def row(frame_index: int) -> dict:
    return {"video_path": "v.mp4", "frame_index": frame_index, "progress": 1.0}


ROW = Prediction(3, 0.12, (1, 3), 41.72, "1. lift", "raw", 41.72, "model")


def test_records_survive_the_file(tmp_path):
    rows = make_records("v.mp4", "lift\u2028it\u0085up\u2029", [ROW, ROW])  # separators that end no line
    write_records(tmp_path / "p.jsonl", rows)
    assert read_records(tmp_path / "p.jsonl") == rows
    lines = (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()  # as other programs read it
    assert [json.loads(line) for line in lines] == rows
    (tmp_path / "p.jsonl").write_bytes(json.dumps(rows[0], ensure_ascii=False).encode() + b"\r\n\n")
    assert read_records(tmp_path / "p.jsonl") == rows[:1]
    assert [row["sample_index"] for row in rows] == [0, 1]
    assert list(rows[0])[:9] == [
        "video_path", "task", "sample_index", "frame_index", "timestamp_sec", "window_frame_indices", "progress",
        "reasoning", "model_output",
    ]  # fmt: skip


def test_what_is_appended_is_on_the_disk_at_once(tmp_path):
    path = tmp_path / "new" / "p.jsonl"
    with RecordFile(path) as file:
        assert not path.exists()
        file.append([row(0)])
        assert read_records(path) == [row(0)]
        file.append([row(1)])
        assert len(read_records(path)) == 2


def test_a_cut_off_last_line_is_removed_on_resume(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(row(0)) + '\n{"video_pa')
    with RecordFile(path, resume=True) as file:
        assert file.earlier == [row(0)]
        file.append([row(1)])
    assert [row["frame_index"] for row in read_records(path)] == [0, 1]
    with RecordFile(path) as file:
        file.append([row(7)])
    assert [row["frame_index"] for row in read_records(path)] == [7]


def test_rows_are_kept_when_they_break_off(tmp_path):
    def rows():
        yield row(0)
        raise ValueError("broken")

    with RecordFile(tmp_path / "p.jsonl") as file, pytest.raises(ValueError, match="broken"):
        list(file.write_through(rows()))
    assert read_records(tmp_path / "p.jsonl") == [row(0)]


def test_foreign_lines_are_refused(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(row(0)) + "\nnot json\n")
    with pytest.raises(ValueError, match="line 2: no valid JSON"):
        read_records(path)
    sample = {"video": "v.mp4", "frame_index": 3, "progress": 20.0, "prompt": "p", "completion": "c"}
    path.write_text(json.dumps(sample) + "\n")
    with pytest.raises(ValueError, match=r"line 1: no prediction \(it has no video_path\); name a file that"):
        RecordFile(path, resume=True)
