import json
from pathlib import Path

import pytest

from annotate.predictions_tab import REMEDY, read_prediction_file


def line(**fields):
    record = {
        "frame_index": 4,
        "progress": 12.5,
        "reasoning": "so far",
        "model_output": "raw",
        "window_frame_indices": [0, 4],
    }
    return json.dumps(record | {"video_path": "somewhere/v.mp4"} | fields)


def test_rows_are_in_order_of_frames():
    text = "\n".join([line(frame_index=8, progress=None), "", line()])
    read = read_prediction_file(text, "p.jsonl", 40, Path("/data/somewhere/v.mp4"))
    assert [(row["frame"], row["progress"]) for row in read["rows"]] == [(4, 12.5), (8, None)]
    assert read["rows"][0] == {"frame": 4, "progress": 12.5, "reasoning": "so far", "answer": "raw", "window": [0, 4]}
    assert read["warning"] == ""


def test_another_video_gives_a_warning():
    assert (
        read_prediction_file(line(), "p.jsonl", 40, Path("w.mp4"))["warning"]
        == "p.jsonl was made from v.mp4, not from w.mp4"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no predictions"),
        (line() + "\n{cut", "line 2: Expecting"),
        ("[1]", "line 1: holds no JSON object"),
        (line(frame_index=40), "frame 40 is not in the open video, which has frames 0 to 39"),
        (line(window_frame_indices=[-1, 4]), "frame -1 is not"),
        (line(frame_index="4"), "frame '4' is not"),
        (line(progress=101), "progress is 101.0"),
        (line(progress=float("nan")), "progress is nan"),
        (line(progress=[1]), "line 1"),
        ('{"video_path": "v.mp4", "frame_index": 3}', "line 1: the key 'progress' is missing"),
        ('{"frame_index": 3, "progress": 1}', "line 1: the key 'video_path' is missing"),
        (line(completion="<progress>"), "is a sample to train on, no prediction"),
        (line() + "\n" + line(), "line 2: frame 4 is there twice"),
    ],
)
def test_what_is_no_prediction_is_refused_by_its_line(text, message):
    with pytest.raises(ValueError, match="p") as caught:
        read_prediction_file(text, "p.jsonl", 40, Path("/data/somewhere/v.mp4"))
    assert message in str(caught.value)
    assert REMEDY in str(caught.value)


def test_the_rows_of_the_open_video_are_chosen_by_its_path():
    paths = {"day1/v.mp4": 1.0, "day2/v.mp4": 2.0, "long.mp4": 3.0}
    text = "\n".join(line(video_path=path, progress=value) for path, value in paths.items())
    text += "\n" + line(video_path="long.mp4", frame_index=500)  # beyond the end of the open video: no matter
    read = read_prediction_file(text, "p.jsonl", 40, Path("/data/day2/v.mp4"))
    assert [row["progress"] for row in read["rows"]] == [2.0]
    assert read["warning"] == ""
    with pytest.raises(ValueError, match=r"day1/v\.mp4 and day2/v\.mp4; which of them is /data/day3/v\.mp4"):
        read_prediction_file(text, "p.jsonl", 40, Path("/data/day3/v.mp4"))
    with pytest.raises(ValueError, match=r"no predictions of w\.mp4, only of v\.mp4, v\.mp4, long\.mp4"):
        read_prediction_file(text, "p.jsonl", 40, Path("/data/w.mp4"))
