import numpy as np
import pytest
from material import write_video

from dataset.video import VideoReader
from infer.overlay import CURVE_HEIGHT, render_overlay


def record(frame: int, progress: float | None) -> dict:
    return {"frame_index": frame, "progress": progress, "reasoning": "The following actions are required:\n1. lift"}


def blue(frame: np.ndarray) -> np.ndarray:
    """Mark pixels that are much bluer than red, as only the curve and the number are."""
    return frame[..., 2].astype(int) - frame[..., 0] > 60


@pytest.mark.slow
def test_every_frame_is_there_and_the_curve_is_at_the_records_height(tmp_path):
    source = write_video(tmp_path / "v.mp4", 21)
    records = [record(index, 5.0 * index) for index in range(21)]
    render_overlay(records, source, tmp_path / "o.mp4")
    reader = VideoReader(tmp_path / "o.mp4")
    assert len(reader) == 21 and reader.fps == 25.0
    assert not list(tmp_path.glob(".*partial*"))
    last = blue(reader.frame(20))
    rows, columns = np.nonzero(last[: 320 + CURVE_HEIGHT + 13])  # the picture is 320 pixels high; above the number
    left, right = rows[columns < 80], rows[columns > 430]
    assert left.max() - right.min() > 80  # rises from 0 to 100 % over a panel of 110 pixels


@pytest.mark.slow
def test_missing_values_and_long_reasoning_do_not_stop_it(tmp_path):
    source = write_video(tmp_path / "v.mp4", 3)
    rows = [record(0, None), {**record(2, 50.0), "reasoning": "word " * 500, "progress_source": "previous"}]
    render_overlay(rows, source, tmp_path / "o.mp4")
    assert len(VideoReader(tmp_path / "o.mp4")) == 3
