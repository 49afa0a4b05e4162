import numpy as np
import pytest

from dataset.window import WindowSpec
from infer.decoding.settings import Decoding
from infer.model.source import ModelSource
from infer.request import FrameChoice, WindowRequest


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (FrameChoice, {"max_sampled_frames": "4"}, "max_sampled_frames is '4'; it must be a whole number"),
        (FrameChoice, {"max_frames": 2.5}, "max_frames is 2.5; it must be a whole number"),
        (FrameChoice, {"max_frames": 0}, "max_frames is 0; it must be at least 1"),
        (WindowRequest, {"window_size": 0}, "window_size is 0; it must be at least 1"),
        (WindowRequest, {"window_size": "8"}, "window_size is '8'; it must be a whole number"),
        (WindowRequest, {"window_rate_hz": 0}, "window_rate_hz is 0; it must be above 0"),
        (WindowRequest, {"window_stride": float("nan")}, "window_stride is nan; it must be a number"),
        (WindowSpec, {"size": True, "stride": 1}, "window size is True; it must be a whole number"),
        (WindowSpec, {"rate_hz": "5"}, "window rate_hz is '5'; it must be a number"),
        (Decoding, {"max_new_tokens": "256"}, "max_new_tokens is '256'; it must be a whole number"),
        (Decoding, {"batch_size": 3.0}, "batch_size is 3.0; it must be a whole number"),
        (Decoding, {"temperature": None}, "temperature is None; it must be a number"),
        (ModelSource, {"model_path": "m", "max_pixels": "4096"}, "max_pixels is '4096'; it must be a whole number"),
        (ModelSource, {"model_path": "m", "min_pixels": 0}, "min_pixels is 0; it must be at least 1"),
    ],
)
def test_numbers_of_a_wrong_type_or_range_are_one_line(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**options)


def test_numbers_of_numpy_are_numbers():
    assert FrameChoice(max_sampled_frames=np.int64(2)).frames(5) == [0, 4]
    assert WindowSpec(size=np.int32(2), rate_hz=np.float32(5)).size == 2
