import shutil
import threading
import time
from collections import Counter

import pytest
from material import TASK

from annotate.background import STRIP_BOX, BackgroundScanner, strip_count, strip_frame
from annotate.frame_cache import FrameCache
from annotate.store import Store
from dataset import VideoReader


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
    from dataset import VideoError

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


def test_two_people_on_two_new_videos_both_get_their_proposals(store, monkeypatch):
    read = Counter()
    original = VideoReader.iter_frames

    def slow(self, *arguments, **options):
        for index, frame in original(self, *arguments, **options):
            read[self.path.name, index] += options.get("fit") == STRIP_BOX
            time.sleep(0.01)
            yield index, frame

    monkeypatch.setattr(VideoReader, "iter_frames", slow)
    scanner = BackgroundScanner(store, FrameCache(store))
    first, second, _ = store.episodes
    for _ in range(1000):  # two tabs ask in turn, as pages do
        scans = scanner.scan(first), scanner.scan(second)
        if all(scan.proposals is not None for scan in scans):
            break
        time.sleep(0.01)
    assert [scan.scanned for scan in scans] == [40, 40]
    assert all(read[name, index] == 1 for name in ("a.mp4", "b.mp4") for index in range(40))  # none began again


def test_a_scan_goes_on_where_it_stopped(store, monkeypatch):
    monkeypatch.setattr("annotate.background.WANTED_SEC", 0.05)
    original, indices = VideoReader.iter_frames, []

    def slow(self, *arguments, **options):
        for index, frame in original(self, *arguments, **options):
            if options.get("fit") == STRIP_BOX and self.path.name == "a.mp4":
                indices.append(index)
                time.sleep(0.02)
            yield index, frame

    monkeypatch.setattr(VideoReader, "iter_frames", slow)
    scanner = BackgroundScanner(store, FrameCache(store))
    first, second, _ = store.episodes
    scanner.scan(first)
    time.sleep(0.1)
    scanner.scan(second)  # the person went on to the next episode
    for _ in range(200):
        if not scanner._scans[store.reader(first)].running:
            break
        time.sleep(0.02)
    stopped = len(indices)
    assert 0 < stopped < 40
    assert finished(scanner, first).proposals is not None
    assert indices[stopped] >= stopped - 1
    assert sorted(set(indices)) == list(range(40))


def test_an_unexpected_failure_of_a_scan_reaches_the_page(store, monkeypatch):
    def fail(*_):
        raise TypeError("no such thing")

    monkeypatch.setattr("annotate.background.propose_boundaries", fail)
    monkeypatch.setattr("threading.excepthook", lambda _: None)  # the terminal shows it
    scan = finished(BackgroundScanner(store, FrameCache(store)), next(iter(store.episodes)))
    for thread in threading.enumerate():
        if thread.name.startswith("scan"):
            thread.join(10)
    assert "a.mp4 was not read to its end (TypeError: no such thing)" in scan.problem


def test_the_strip_shows_the_middle_of_every_share():
    assert strip_count(40) == 40
    assert strip_count(1800) == 96
    assert [strip_frame(k, 4, 40) for k in range(4)] == [5, 15, 25, 35]
