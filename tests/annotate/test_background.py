import shutil
import time

import pytest
from material import TASK

from annotate.background import BackgroundScanner, strip_count, strip_frame
from annotate.frame_cache import FrameCache
from annotate.store import Store


@pytest.fixture
def store(video, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(video, tmp_path / name)
    (tmp_path / "c.mp4").write_bytes(video.read_bytes())
    return Store.open([tmp_path], TASK)


def finished(scanner, key):
    for _ in range(300):
        scan = scanner.scan(key)
        if scan.proposals is not None or scan.problem:
            return scan
        time.sleep(0.02)
    raise AssertionError(scan)


def test_a_scan_ends_with_proposals_and_is_kept(store):
    scanner = BackgroundScanner(store, FrameCache(store))
    first, second, _ = store.episodes
    scan = finished(scanner, first)
    assert (scan.scanned, scan.num_frames) == (40, 40)
    assert all(0 < tick < 40 for tick in scan.proposals)
    assert finished(scanner, second).scanned == 40
    assert scanner.scan(first) is scan


def test_a_video_that_breaks_off_is_reported(store, monkeypatch):
    from dataset import VideoError, VideoReader

    original = VideoReader.iter_frames

    def breaking(self, *arguments, **options):
        for index, frame in original(self, *arguments, **options):
            if index == 20:
                raise VideoError("frame 20 does not decode")
            yield index, frame

    monkeypatch.setattr(VideoReader, "iter_frames", breaking)
    scan = finished(BackgroundScanner(store, FrameCache(store)), next(iter(store.episodes)))
    assert scan.problem == "frame 20 does not decode"
    assert (scan.scanned, scan.proposals) == (20, None)


def test_the_strip_shows_the_middle_of_every_share():
    assert strip_count(40) == 40
    assert strip_count(1800) == 96
    assert [strip_frame(k, 4, 40) for k in range(4)] == [5, 15, 25, 35]
