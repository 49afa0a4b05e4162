import threading

import pytest
import torch
from material import write_video

from dataset.video import VideoError, VideoReader
from infer.model.encoded_video import CHUNK, CHUNKS_AHEAD, EncodedVideo


@pytest.fixture
def reader(video) -> VideoReader:
    return VideoReader(video)


def threads() -> int:
    return sum(thread.name == "onetake-prefetch" for thread in threading.enumerate())


def test_ahead_or_when_needed_the_features_are_the_same(nano, reader):
    with EncodedVideo(nano, reader, keep_all=True) as ahead:
        ahead.prefetch(range(40), nano.pixel_budget)
        assert threads() == 1
        (window,) = ahead.windows([(3, 20, 39)])
    assert threads() == 0
    (needed,) = EncodedVideo(nano, reader).windows([(3, 20, 39)])
    for one, other in zip(window, needed, strict=True):
        torch.testing.assert_close(one.embedding, other.embedding, rtol=1e-5, atol=1e-4)


def test_frames_that_were_not_ordered_ahead_are_encoded_when_needed(nano, reader):
    with EncodedVideo(nano, reader) as video:
        video.prefetch([10, 11, 12], nano.pixel_budget)
        (window,) = video.windows([(2, 11, 30)])
        assert len(window) == 3


def test_the_background_waits_for_the_reader(nano, tmp_path):
    taken = []
    source = VideoReader(write_video(tmp_path / "long.mp4", 600))
    real = source.iter_frames

    def counting(indices=None):
        for pair in real(indices):
            taken.append(pair[0])
            yield pair

    source.iter_frames = counting
    with EncodedVideo(nano, source) as video:
        video.prefetch(range(600), nano.pixel_budget)
        video.load([0])
        threading.Event().wait(1.5)
        assert len(taken) <= CHUNK * (CHUNKS_AHEAD + 3)


def test_a_frame_that_does_not_decode_raises_after_those_before_it(nano, reader, monkeypatch):
    real = reader.iter_frames

    def breaking(indices=None):
        for index, frame in real(indices):
            if index >= 21:
                raise VideoError(f"v.mp4: frame {index} does not decode")
            yield index, frame

    monkeypatch.setattr(reader, "iter_frames", breaking)
    for ahead in (False, True):
        with EncodedVideo(nano, reader) as video:
            if ahead:
                video.prefetch(range(40), nano.pixel_budget)
            with pytest.raises(VideoError, match="frame 21 does not decode"):
                video.load(range(40))
            assert video.has(range(21), nano.pixel_budget)
            assert not video.has([21], nano.pixel_budget)


def test_a_kept_frame_does_not_hold_those_that_were_encoded_with_it(nano, reader):
    video = EncodedVideo(nano, reader)
    video.load(range(16))
    (frame,) = video.windows([(3,)])[0]
    for tensor in (frame.embedding, *frame.deepstack):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_what_windows_to_come_do_not_show_is_dropped(nano, reader):
    video = EncodedVideo(nano, reader)
    video.load(range(10))
    video.forget(4, float("inf"))
    assert not video.has([3], nano.pixel_budget) and video.has(range(4, 10), nano.pixel_budget)
    kept = EncodedVideo(nano, reader, keep_all=True)
    kept.load(range(3))
    kept.forget(2, 2)
    assert kept.has(range(3), nano.pixel_budget)
