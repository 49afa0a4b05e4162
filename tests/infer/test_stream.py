import sys
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_adapter import make_adapter
from material import DEMO, write_video
from random_model import random_model

from dataset.video import VideoReader
from dataset.window import WindowSpec, window_indices
from infer.decoding.settings import Decoding
from infer.model.encoded_video import EncodedVideo
from infer.model.errors import ModelError
from infer.model.model import BASE, ProgressModel
from infer.model.source import ModelSource
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


def window_of_next(stream: ProgressStream, timestamp_sec: float) -> tuple[int, ...]:
    """Take a frame and return its window."""
    window = stream._arrive(FRAME, timestamp_sec).window
    stream.observe(FRAME, timestamp_sec)
    return window


@pytest.mark.parametrize("fps", [25.0, 30.0, 10.0, 29.97, 24000 / 1001, 50.0, 60.0])
@pytest.mark.parametrize("rate_hz", [6.25, 5.0, 2.0])
def test_windows_by_time_are_those_of_a_video_of_that_rate(nano, fps, rate_hz):
    window = WindowSpec(size=6, rate_hz=rate_hz)
    streams = ProgressStream(nano, "t", window), ProgressStream(nano, "t", window, fps=fps)
    for number in range(60):
        for stream in streams:
            assert window_of_next(stream, number / fps) == window_indices(window, number, fps)


@pytest.mark.parametrize("fps", [30.0, 24.0, 23.976, 60.0])
def test_times_rounded_to_milliseconds_make_no_difference_where_the_rate_is_given(nano, fps):
    window = WindowSpec(size=8, rate_hz=6.25)
    stream = ProgressStream(nano, "t", window, fps=fps)
    for number in range(80):
        assert window_of_next(stream, round(number / fps, 3)) == window_indices(window, number, fps)
    lost = window_of_next(stream, 80 / fps + 0.5)  # frames were lost: from here on the times count
    assert lost == window_indices(window, 80, [*(round(n / fps, 3) for n in range(80)), 80 / fps + 0.5])


GAPS = st.lists(st.floats(0.001, 0.15), min_size=1, max_size=50)


@given(
    gaps=GAPS, size=st.integers(1, 6), rate_hz=st.floats(6.7, 30), padding=st.sampled_from(["repeat_first", "short"])
)
def test_windows_of_a_stream_are_those_of_a_recording_with_its_times(nano, gaps, size, rate_hz, padding):
    times = np.cumsum([0.0, *gaps])
    window = WindowSpec(size, rate_hz=rate_hz, padding=padding)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # slow streams
        stream = ProgressStream(nano, "t", window)
        for number, time in enumerate(times):
            assert window_of_next(stream, time) == window_indices(window, number, times)


def test_a_stream_answers_like_a_recording_of_varying_rate(nano, tmp_path):
    times = [*range(0, 400, 80), *range(400, 700, 40), *range(700, 1000, 100)]  # milliseconds
    reader = VideoReader(write_video(tmp_path / "v.mp4", len(times), times=times))
    window = WindowSpec(size=4, rate_hz=6.25)
    stream = ProgressStream(nano, "t", window)
    live = [stream.push(frame, reader.timestamps_sec[i]) for i, frame in reader.iter_frames()]
    assert live == list(predict_video(nano, EncodedVideo(nano, reader), "t", window, range(len(reader))))


def test_short_windows_keep_the_first_frame_until_it_is_in_none(nano):
    stream = ProgressStream(nano, "t", WindowSpec(size=3, rate_hz=5.0, padding="short"), decoding=Decoding(4))
    windows = [stream.push(FRAME, number / 25).window_frame_indices for number in range(12)]
    assert windows[:3] == [(0,), (1,), (2,)] and windows[5] == (0, 5) and windows[11] == (1, 6, 11)


def test_short_windows_and_uneven_times(nano):
    stream = ProgressStream(nano, "t", WindowSpec(size=3, rate_hz=1.0, padding="short"))
    assert [window_of_next(stream, second) for second in (0.0, 0.9, 1.9, 2.2)] == [(0,), (0, 1), (0, 1, 2), (0, 1, 3)]


def test_a_stream_that_is_too_slow_is_warned_of_once(nano):
    window = WindowSpec(size=3, rate_hz=5.0)
    with pytest.warns(UserWarning, match=r"the stream has 2 frames per second, and the window rule asks for 5"):
        ProgressStream(nano, "t", window, fps=2.0)
    stream = ProgressStream(nano, "t", window)
    stream.observe(FRAME, 0.0)
    with pytest.warns(UserWarning, match=r"has 2 frames per second, .*\(`observe` takes frames without an answer\)"):
        stream.observe(FRAME, 0.5)
    stream.observe(FRAME, 1.0)  # no second warning, which would be an error here


def test_times_and_features_do_not_pile_up(nano):
    stream = ProgressStream(nano, "t", WindowSpec(size=3, rate_hz=10.0))
    for number in range(300):
        stream.observe(FRAME, number / 30)
    assert len(stream._times) <= 9 and len(stream._pixels) <= 8


def test_a_frame_is_encoded_once_and_only_if_a_window_shows_it(nano, reader, monkeypatch):
    encoded = []
    real = ProgressModel.encode_frames
    monkeypatch.setattr(
        ProgressModel,
        "encode_frames",
        lambda self, frames, **options: encoded.append(len(frames)) or real(self, frames, **options),
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
    for frame in (np.zeros((4, 4, 3)), np.zeros((3, 4, 4), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3))):
        with pytest.raises(ValueError, match=r"frame has dtype \w+ and shape \(.*\); push RGB uint8"):
            stream.push(frame, 0.0)
    with pytest.raises(ValueError, match="frame is no array"):
        stream.push([[1, 2], [3]], 0.0)
    with pytest.raises(ValueError, match="no timestamp_sec"):
        stream.push(FRAME)
    for time in ("now", np.nan, True):
        with pytest.raises(ValueError, match=r"timestamp_sec is .*; it must be a number"):
            stream.push(FRAME, time)
    stream.observe(FRAME, 1.0)
    with pytest.raises(ValueError, match=r"not later than the frame before it .*reset\(\)"):
        stream.observe(FRAME, 1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": " "}, "task text is empty; name what"),
        ({"task": None}, "task text is None; name what"),
        ({"fps": 0}, "fps is 0; it must be above 0"),
        ({"fps": -5}, "fps is -5; it must be above 0"),
        ({"fps": float("nan")}, "fps is nan; it must be a number"),
        ({"fps": "25"}, "fps is '25'; it must be a number"),
        ({"model": "runs/demo/adapter"}, "model is 'runs/demo/adapter'; it must be a ProgressModel"),
        ({"window": 8}, "window is 8; it must be a WindowSpec"),
        ({"decoding": 256}, "decoding is 256; it must be a Decoding"),
        ({"adapter": "x"}, 'no adapter "x" is loaded'),
        ({"on_unparsed": "last"}, 'on_unparsed is "last"'),
    ],
)
def test_unusable_settings_are_refused(nano, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ProgressStream(**{"model": nano, "task": "t", **options})


def test_all_streams_take_their_frames_or_none(nano, reader):
    streams = [ProgressStream(nano, "t", WindowSpec(size=3, stride=1)) for _ in range(3)]
    good = reader.frames([0, 20, 40])
    push_all(streams, good, [0.0, 1.0, 2.0])  # every environment has a time of its own
    states = [(stream._count, list(stream._times), set(stream._features)) for stream in streams]
    for frames, times, message in (
        (
            [good[0], good[1].astype(float), good[2]],
            [1.0, 2.0, 3.0],
            r"stream 1: frame has dtype float64.*took its frame",
        ),
        (good, [1.0, 2.0, 2.0], r"stream 2: frame 1 is stamped 2\.0 s"),
        (good, [1.0, None, 3.0], r"stream 1: the frame has no timestamp_sec"),
        (good, 0.5, r"stream 1: frame 1 is stamped 0\.5 s, not later"),
        (good[:2], [1.0, 2.0, 3.0], "3 streams and 2 frames"),
        (good, [1.0, 2.0], "3 streams and 2 times"),
    ):
        with pytest.raises(ValueError, match=message):
            push_all(streams, frames, times)
        assert [(stream._count, list(stream._times), set(stream._features)) for stream in streams] == states
    alone = ProgressStream(nano, "t", WindowSpec(size=3, stride=1))
    alone.push(good[1], 1.0)
    assert push_all(streams, good[::-1], 3.0)[1] == alone.push(good[1], 3.0)
    with pytest.raises(ValueError, match="push_all got no streams"):
        push_all([], [])
    with pytest.raises(ValueError, match="one stream twice"):
        push_all([streams[0], streams[0]], good[:2], 4.0)


def test_a_failed_answer_leaves_the_streams_as_they_were(nano, reader, monkeypatch):
    import infer.stream

    streams = [ProgressStream(nano, "t", WindowSpec(size=2, stride=1), fps=25.0) for _ in range(2)]
    frames = reader.frames([0, 20, 40])
    push_all(streams, frames[:2])
    with monkeypatch.context() as patch:
        patch.setattr(infer.stream, "decode_windows", lambda *arguments: (_ for _ in ()).throw(ModelError("broken")))
        with pytest.raises(ModelError, match="broken"):
            push_all(streams, frames[1:])
    alone = ProgressStream(nano, "t", WindowSpec(size=2, stride=1), fps=25.0)
    alone.push(frames[0])
    assert push_all(streams, frames[1:])[0] == alone.push(frames[1])


def test_streams_that_do_not_fit_into_memory_together_are_answered_in_parts(nano, reader, monkeypatch):
    import infer.stream

    sizes = []
    real = infer.stream.decode_windows

    def decode(model, windows, *rest):
        sizes.append(len(windows))
        if len(windows) > 2:
            raise RuntimeError("CUDA out of memory")
        return real(model, windows, *rest)

    frames = reader.frames(range(0, 60, 10))
    alone = [ProgressStream(nano, "t", fps=25.0).push(frame) for frame in frames]
    monkeypatch.setattr(infer.stream, "decode_windows", decode)
    streams = [ProgressStream(nano, "t", fps=25.0, decoding=Decoding(batch_size=5)) for _ in frames]
    assert push_all(streams, frames) == alone
    push_all(streams, frames)
    assert sizes == [5, 2, 2, 2, 2, 2, 2]  # the limit is remembered


@pytest.fixture(scope="module")
def adapters(tmp_path_factory) -> list[str]:
    """Two adapters of one base, with windows and pixels of their own."""
    folder = tmp_path_factory.mktemp("adapters")
    return [
        make_adapter(folder / "drawer", 1, WindowSpec(size=3, stride=2)),
        make_adapter(folder / "block", 2, WindowSpec(size=2, stride=5), max_pixels=4096),
    ]


def answers(stream: ProgressStream, frames: np.ndarray) -> list:
    return [stream.push(frame) for frame in frames]


def test_a_stream_keeps_the_adapter_that_it_was_made_with(adapters, reader):
    decoding = Decoding(max_new_tokens=6)
    model = ProgressModel.load(ModelSource(adapters[0], use_lora=True))
    frames = reader.frames(range(0, 60, 15))
    expected = answers(ProgressStream(model, "t", fps=25.0, decoding=decoding), frames)
    stream = ProgressStream(model, "t", fps=25.0, decoding=decoding)
    first = answers(stream, frames[:2])
    model.load_adapter(adapters[1])  # the new one is active
    assert first + answers(stream, frames[2:]) == expected
    named = ProgressStream(model, "t", fps=25.0, adapter="default", decoding=decoding)
    assert named.window == WindowSpec(size=3, stride=2)  # its own, not that of the active adapter
    assert answers(named, frames) == expected
    other = ProgressStream(model, "t", fps=25.0, decoding=decoding)
    assert other.window == WindowSpec(size=2, stride=5)
    assert [p.model_output for p in answers(other, frames)] != [p.model_output for p in expected]


def test_a_stream_of_the_base_stays_one(adapters, reader):
    from material import NANO

    model = ProgressModel.load(ModelSource(str(NANO)))
    frames = reader.frames([0, 10, 20])
    expected = answers(ProgressStream(model, "t", fps=25.0), frames)
    stream = ProgressStream(model, "t", fps=25.0)
    assert stream.adapter == BASE
    model.load_adapter(adapters[1])
    assert answers(stream, frames) == expected


def test_threads_with_their_own_adapters_do_not_disturb_each_other(adapters, reader):
    decoding = Decoding(max_new_tokens=10)
    model = ProgressModel.load(ModelSource(adapters[0], use_lora=True))
    model.load_adapter(adapters[1], "block")
    names = ["default", "block", BASE]
    frames = reader.frames([0, 30, 60])

    def stream(name: str) -> ProgressStream:
        return ProgressStream(model, "t", WindowSpec(size=2, stride=1), 25.0, name, decoding)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the window is not the adapters'
        alone = {name: answers(stream(name), frames) for name in dict.fromkeys(names)}
        assert len({tuple((p.model_output, p.progress) for p in predictions) for predictions in alone.values()}) == 3
        streams = [stream(name) for name in names]
    together: dict[int, list] = {}
    start = threading.Barrier(len(names))

    def work(number: int) -> None:
        start.wait()
        together[number] = answers(streams[number], frames)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(names))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert together == {number: alone[name] for number, name in enumerate(names)}
    assert model.active_adapter == "block"


def test_what_an_adapter_was_not_trained_for_is_warned_of(adapters):
    model = ProgressModel.load(ModelSource(adapters[0], use_lora=True))
    with pytest.warns(UserWarning, match=r'trained on "t", not on "Fly": do not trust its values'):
        ProgressStream(model, "Fly")
    with pytest.warns(UserWarning, match=r"trained with the window .*'size': 3.* but the stream has .*'size': 5"):
        ProgressStream(model, "t", WindowSpec(size=5, stride=2))
    ProgressStream(model, "Fly", adapter=BASE)  # the base alone was trained on no task
