import wave

import numpy as np
import pytest
from material import number_of, write_video

from dataset.video import VideoError, VideoReader, fingerprint

CODECS = [
    ("libx264", ".mp4", {"g": "12", "bf": "3"}),
    ("libx264", ".mp4", {"g": "1000", "bf": "2"}),
    ("libx264", ".mp4", {"g": "8", "x264-params": "open-gop=1:bframes=3"}),
    ("libx264", ".ts", {"g": "10", "bf": "2"}),
    ("mpeg4", ".mp4", {"bf": "2"}),
    ("libvpx-vp9", ".webm", {"g": "15"}),
    ("mjpeg", ".avi", {}),
]


@pytest.mark.parametrize(("codec", "suffix", "options"), CODECS)
def test_frame_i_is_frame_i_in_any_order(tmp_path, codec, suffix, options):
    reader = VideoReader(write_video(tmp_path / f"v{suffix}", 50, codec, **options))
    assert len(reader) == 50
    order = np.random.default_rng(0).permutation(50)[:20]
    assert [number_of(frame) for frame in reader.frames(order)] == list(order)
    assert [number_of(frame) for _, frame in reader.iter_frames()] == list(range(50))


def test_frames_keep_order_and_repeats(video):
    assert [number_of(frame) for frame in VideoReader(video).frames([7, 3, 3, 39, 0])] == [7, 3, 3, 39, 0]


def test_times_and_rate(video):
    reader = VideoReader(video)
    assert reader.fps == 25.0
    np.testing.assert_allclose(reader.timestamps_sec[[0, 1, 39]], [0, 0.04, 1.56])


def test_one_frame(tmp_path):
    reader = VideoReader(write_video(tmp_path / "one.mp4", 1))
    assert len(reader) == 1
    assert number_of(reader.frame(0)) == 0


@pytest.mark.parametrize("index", [-1, 40])
def test_frames_outside_are_refused(video, index):
    with pytest.raises(VideoError, match=f"has 40 frames, 0 to 39; frame {index} is outside"):
        VideoReader(video).frame(index)


def test_missing_empty_corrupt_and_audio_only(tmp_path, video):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:500])
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    for name, message in (
        ("nothing.mp4", "no such file"),
        ("empty.mp4", "the file is empty"),
        ("noise.mp4", "cannot be decoded"),
        ("cut.mp4", "cannot be decoded"),
        ("sound.wav", "has no picture, only audio"),
        (".", "is a folder"),
    ):
        with pytest.raises(VideoError, match=message):
            VideoReader(tmp_path / name)


def test_decord_gives_the_same_frames_where_it_is_right(video):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    order = [5, 31, 2]
    frames = VideoReader(video, backend="decord").frames(order)
    assert [number_of(frame) for frame in frames] == order


def test_decord_is_refused_where_it_is_wrong(tmp_path):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    path = write_video(tmp_path / "v.ts", 50, g="10", bf="2")
    with pytest.raises(VideoError, match="pyav"):
        VideoReader(path, backend="decord")


def test_fingerprint_follows_the_content(video, tmp_path):
    copy = tmp_path / "renamed.mp4"
    copy.write_bytes(video.read_bytes())
    assert fingerprint(copy) == fingerprint(video)
    copy.write_bytes(video.read_bytes() + b"x")
    assert fingerprint(copy) != fingerprint(video)
    with pytest.raises(VideoError, match="check the path"):
        fingerprint(tmp_path / "nothing.mp4")
