import imagehash
import numpy as np
import pytest
from material import write_video
from PIL import Image

from dataset.similarity import cache_folder, cached_hashes, frame_hashes, frame_similarity, similarity_of_hashes
from dataset.video import VideoReader


def test_similarity_is_the_share_of_equal_bits():
    hashes = np.zeros((4, 64), dtype=bool)
    hashes[1, :16] = True
    hashes[2, :16] = True
    hashes[3] = ~hashes[2]
    np.testing.assert_allclose(similarity_of_hashes(hashes), [1, 0.75, 1, 0])


def test_hashes_are_those_of_the_library(video):
    reader = VideoReader(video)
    hashes = frame_hashes(reader)
    for index, square in reader.iter_luma(32):
        np.testing.assert_array_equal(hashes[index], imagehash.phash(Image.fromarray(square)).hash.ravel())


def test_squeezing_while_decoding_hardly_changes_a_hash(video):
    reader = VideoReader(video)
    hashes = frame_hashes(reader)
    for index in (0, 17, 39):
        whole = imagehash.phash(Image.fromarray(reader.frame(index))).hash.ravel()
        assert np.count_nonzero(hashes[index] != whole) <= 12


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".mp4"), ("gif", ".gif"), ("mjpeg", ".avi")])
def test_brightness_is_that_of_the_frame(tmp_path, codec, suffix):
    reader = VideoReader(write_video(tmp_path / f"v{suffix}", 5, codec, size=(100, 62)))
    for index, square in reader.iter_luma(16):
        grey = np.asarray(Image.fromarray(reader.frame(index)).convert("L").resize((16, 16), Image.Resampling.BOX))
        contrast = 255 / 219 if codec == "libx264" else 1.0  # video keeps brightness between 16 and 235
        expected = grey / contrast + (16 if codec == "libx264" else 0)
        assert np.abs(square.astype(float) - expected).mean() < 4


def test_a_recording_is_decoded_once_and_another_anew(video, tmp_path, monkeypatch):
    first = frame_similarity(VideoReader(video))
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(video.read_bytes())

    def refuse(*args, **kwargs):
        raise AssertionError("decoded again")

    with monkeypatch.context() as patched:
        patched.setattr(VideoReader, "iter_luma", refuse)
        np.testing.assert_array_equal(frame_similarity(VideoReader(copy)), first)
        with pytest.raises(AssertionError, match="decoded again"):
            cached_hashes(VideoReader(write_video(tmp_path / "new.mp4", 7)))


def test_a_cache_that_cannot_be_written_is_named_and_stops_nothing(video, monkeypatch, tmp_path):
    expected = cached_hashes(VideoReader(video))
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ONETAKE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="cannot be written .*set ONETAKE_CACHE to a folder that can"):
        np.testing.assert_array_equal(cached_hashes(VideoReader(video)), expected)


def test_a_damaged_cache_is_made_again(video, monkeypatch, tmp_path):
    monkeypatch.setenv("ONETAKE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    hashes = cached_hashes(VideoReader(video))
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"cut off")
    np.testing.assert_array_equal(cached_hashes(VideoReader(video)), hashes)
    monkeypatch.delenv("ONETAKE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "onetake"
