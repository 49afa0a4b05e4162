import shutil
import time

import pytest
from material import TASK, number_of

from annotate import frame_cache
from annotate.frame_cache import FrameCache
from annotate.store import Store
from dataset import VideoReader


@pytest.fixture
def store(video, tmp_path):
    shutil.copy(video, tmp_path / "a.mp4")
    return Store.open([tmp_path], TASK)


@pytest.fixture
def decoded(monkeypatch):
    """Frames that were decoded, in order."""
    seen, original = [], VideoReader.iter_frames

    def counted(self, *arguments, **options):
        for index, frame in original(self, *arguments, **options):
            seen.append(index)
            assert number_of(frame) == index
            yield index, frame

    monkeypatch.setattr(VideoReader, "iter_frames", counted)
    return seen


def test_stepping_decodes_each_frame_once(store, decoded):
    cache = FrameCache(store)
    key = next(iter(store.episodes))
    for index in [*range(40), *range(39, -1, -1)]:
        cache.jpeg(key, index)
    assert decoded == list(range(40))


def test_stepping_back_after_a_jump_decodes_in_blocks(store, decoded):
    cache = FrameCache(store)
    key = next(iter(store.episodes))
    for index in range(39, -1, -1):
        cache.jpeg(key, index)
    assert len(decoded) <= 48
    assert decoded[:8] == list(range(32, 40))


def test_the_background_fills_up_what_is_missing(store, decoded):
    cache = FrameCache(store)
    key = next(iter(store.episodes))
    cache.fill(key, 0, lambda: True)
    assert decoded == list(range(40))
    for index in range(40):
        cache.jpeg(key, index)
    assert len(decoded) == 40


def test_the_background_stops_when_memory_is_used_up_or_nobody_wants_it(store, decoded):
    key = next(iter(store.episodes))
    small = FrameCache(store, max_bytes=10_000)
    small.fill(key, 0, lambda: True)
    assert len(decoded) < 40
    assert small._bytes <= 10_000
    decoded.clear()
    FrameCache(store).fill(key, 0, lambda: False)
    assert len(decoded) <= 1


def test_the_background_makes_way(store, monkeypatch):
    monkeypatch.setattr(frame_cache, "QUIET_SEC", 0.05)
    cache = FrameCache(store)
    assert cache.quiet
    cache.jpeg(next(iter(store.episodes)), 0)
    assert not cache.quiet
    time.sleep(0.08)
    assert cache.quiet
