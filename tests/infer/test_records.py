import json

import pytest

from infer.records import Prediction, RecordFile, make_records, read_records, write_records

ROW = Prediction(3, 0.12, (1, 3), 41.72, "1. lift", "raw", 41.72, "model")


def test_records_survive_the_file(tmp_path):
    rows = make_records("v.mp4", "lift\u2028it", [ROW, ROW])  # a line separator that is no end of a line
    write_records(tmp_path / "p.jsonl", rows)
    assert read_records(tmp_path / "p.jsonl") == rows
    assert [row["sample_index"] for row in rows] == [0, 1]
    assert list(rows[0])[:9] == [
        "video_path", "task", "sample_index", "frame_index", "timestamp_sec", "window_frame_indices", "progress",
        "reasoning", "model_output",
    ]  # fmt: skip


def test_what_is_appended_is_on_the_disk_at_once(tmp_path):
    path = tmp_path / "new" / "p.jsonl"
    with RecordFile(path) as file:
        assert not path.exists()
        file.append([{"frame_index": 0}])
        assert read_records(path) == [{"frame_index": 0}]
        file.append([{"frame_index": 1}])
        assert len(read_records(path)) == 2


def test_a_cut_off_last_line_is_removed_on_resume(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"frame_index": 0}\n{"frame_ind')
    with RecordFile(path, resume=True) as file:
        assert file.earlier == [{"frame_index": 0}]
        file.append([{"frame_index": 1}])
    assert [row["frame_index"] for row in read_records(path)] == [0, 1]
    with RecordFile(path) as file:
        file.append([{"frame_index": 7}])
    assert [row["frame_index"] for row in read_records(path)] == [7]


def test_rows_are_kept_when_they_break_off(tmp_path):
    def rows():
        yield {"frame_index": 0}
        raise ValueError("broken")

    with RecordFile(tmp_path / "p.jsonl") as file, pytest.raises(ValueError, match="broken"):
        list(file.write_through(rows()))
    assert read_records(tmp_path / "p.jsonl") == [{"frame_index": 0}]


def test_foreign_lines_are_refused(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"frame_index": 0}\nnot json\n')
    with pytest.raises(ValueError, match="line 2: no valid JSON"):
        read_records(path)
    path.write_text(json.dumps({"video": 1}) + "\n")
    with pytest.raises(ValueError, match="line 1: no prediction"):
        RecordFile(path, resume=True)
