import numpy as np
import pytest
from material import DEMO
from random_model import random_model

from dataset.video import VideoReader
from dataset.window import WindowSpec, window_indices
from infer.decoding.settings import Decoding
from infer.model.encoded_video import EncodedVideo
from infer.model.model import ProgressModel
from infer.playback import predict_video
from infer.stream import ProgressStream, push_all

FRAME = np.zeros((64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def reader() -> VideoReader:
    return VideoReader(DEMO / "demo.mp4")


@pytest.mark.parametrize("window", [WindowSpec(size=4, stride=3), WindowSpec(size=3, rate_hz=6.25)])
@pytest.mark.parametrize("fps", [None, 25.0])
def test_a_stream_answers_like_the_recorded_video(nano, reader, window, fps):
    stream = ProgressStream(nano, "Pick up the puck", window, fps=fps)
    live = [stream.push(frame, reader.timestamps_sec[i]) for i, frame in reader.iter_frames(range(12))]
    recorded = list(predict_video(nano, EncodedVideo(nano, reader), "Pick up the puck", window, range(12)))
    assert live == recorded


def test_random_models_stream_like_they_read(reader):
    model = random_model(3)
    window = WindowSpec(size=3, stride=2)
    decoding = Decoding(max_new_tokens=20)
    stream = ProgressStream(model, "t", window, decoding=decoding)
    live = [stream.push(frame, reader.timestamps_sec[i]) for i, frame in reader.iter_frames(range(8))]
    video = EncodedVideo(model, reader)
    assert live == list(predict_video(model, video, "t", window, range(8), decoding=decoding))
    assert len({prediction.model_output for prediction in live}) > 1


@pytest.mark.parametrize("fps", [25.0, 30.0, 10.0, 4.0, 29.97])
def test_windows_by_time_are_those_of_a_video_of_that_rate(nano, fps):
    window = WindowSpec(size=6, rate_hz=6.25)
    stream = ProgressStream(nano, "t", window)
    for number in range(60):
        stream.observe(FRAME, number / fps)
        assert stream._window_indices() == window_indices(window, number, fps)


def test_short_windows_and_uneven_times(nano):
    stream = ProgressStream(nano, "t", WindowSpec(size=3, rate_hz=1.0, padding="short"))
    shown = []
    for second in (0.0, 0.9, 2.1, 2.2):
        stream.observe(FRAME, second)
        shown.append(stream._window_indices())
    assert shown == [(0,), (0, 1), (0, 1, 2), (0, 1, 3)]


def test_a_frame_is_encoded_once_and_only_if_a_window_shows_it(nano, reader, monkeypatch):
    encoded = []
    real = ProgressModel.encode_frames
    monkeypatch.setattr(
        ProgressModel, "encode_frames", lambda self, frames: encoded.append(len(frames)) or real(self, frames)
    )
    stream = ProgressStream(nano, "t", WindowSpec(size=3, stride=2), decoding=Decoding(max_new_tokens=4))
    frames = reader.frames(range(9))
    for number, frame in enumerate(frames):
        stream.push(frame, float(number)) if number % 2 == 0 else stream.observe(frame, float(number))
    assert sum(encoded) == 5  # frames 0, 2, 4, 6, 8; the odd ones are never shown
    assert set(stream._pixels | stream._features) == {4, 5, 6, 7, 8}  # what later windows may show


def test_many_streams_share_a_model_and_a_batch(nano, reader):
    tasks = ["Pick up the puck", "Open the drawer"]
    window = WindowSpec(size=3, stride=1)
    together = [ProgressStream(nano, task, window, fps=25.0) for task in tasks]
    alone = [ProgressStream(nano, task, window, fps=25.0) for task in tasks]
    for a, b in zip(reader.frames(range(4)), reader.frames(range(50, 54)), strict=True):
        predictions = push_all(together, [a, b])
        assert predictions == [alone[0].push(a), alone[1].push(b)]


def test_reset_starts_a_new_episode(nano, reader):
    stream = ProgressStream(nano, "t", WindowSpec(size=2, stride=1), fps=25.0)
    first = [stream.push(frame) for frame in reader.frames([0, 1])]
    stream.reset()
    assert [stream.push(frame) for frame in reader.frames([0, 1])] == first


def test_unusable_frames_are_refused(nano):
    stream = ProgressStream(nano, "t", WindowSpec(size=2, rate_hz=5.0))
    with pytest.raises(ValueError, match=r"dtype float64 and shape \(4, 4, 3\); push RGB uint8"):
        stream.push(np.zeros((4, 4, 3)), 0.0)
    with pytest.raises(ValueError, match="no timestamp_sec"):
        stream.push(FRAME)
    stream.observe(FRAME, 1.0)
    with pytest.raises(ValueError, match=r"not later than the frame before it .*reset\(\)"):
        stream.observe(FRAME, 1.0)
    with pytest.raises(ValueError, match="task text is empty"):
        ProgressStream(nano, " ")
