import os
import struct
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from material import ROOT, number_of, numbered_frame, write_sound, write_video
from PIL import Image

from dataset.ffmpeg import ForwardDecoder, index_stream
from dataset.image_folder import image_files
from dataset.index_cache import IndexCache
from dataset.video import VideoError, VideoReader, fingerprint, has_fingerprint, set_default_backend

CODECS = {
    "H.264, B-frames": ("libx264", ".mp4", {"g": "12", "bf": "3"}),
    "H.264, one long GOP": ("libx264", ".mp4", {"g": "1000", "bf": "2"}),
    "H.264, open GOP": ("libx264", ".mp4", {"g": "8", "x264-params": "open-gop=1:bframes=3"}),
    "H.264, intra refresh, no keyframes": ("libx264", ".mp4", {"x264-params": "intra-refresh=1:keyint=10"}),
    "H.264 in Matroska": ("libx264", ".mkv", {"g": "10", "bf": "2"}),
    "H.264 in FLV": ("libx264", ".flv", {"g": "10", "bf": "2"}),
    "H.264 without a container, no times": ("libx264", ".h264", {"g": "10", "bf": "2"}),
    "H.264 in MPEG-TS, starts at 1.4 s": ("libx264", ".ts", {"g": "10", "bf": "2"}),
    "HEVC": ("libx265", ".mp4", {"x265-params": "keyint=12:bframes=3:log-level=none"}),
    "HEVC, open GOP": ("libx265", ".mp4", {"x265-params": "keyint=12:bframes=3:open-gop=1:log-level=none"}),
    "VP9": ("libvpx-vp9", ".webm", {"g": "15", "cpu-used": "8"}),
    "VP9, hidden alternate frames": ("libvpx-vp9", ".webm", {"g": "30", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    "AV1": ("libsvtav1", ".mp4", {"g": "12", "preset": "12"}),
    "MPEG-4, B-frames": ("mpeg4", ".mp4", {"bf": "2"}),
    "MPEG-4, B-frames, AVI": ("mpeg4", ".avi", {"bf": "2"}),
    "MPEG-2 program stream": ("mpeg2video", ".mpg", {"bf": "2"}),
    "MJPEG": ("mjpeg", ".avi", {}),
    "gif": ("gif", ".gif", {}),
}


def check_against_sequential_decoding(path: Path, expected: list[int]) -> VideoReader:
    """Frames in random order, twice over, must be those that a plain decode from the start gives, in their order."""
    with av.open(str(path)) as container:
        assert [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)] == expected
    reader = VideoReader(path)
    assert len(reader) == len(reader.timestamps_sec) == len(expected)
    assert reader.timestamps_sec[0] == 0.0
    assert (np.diff(reader.timestamps_sec) > 0).all()
    order = np.random.default_rng(0).permutation(len(expected))
    assert [number_of(frame) for frame in reader.frames(order)] == [expected[i] for i in order]
    assert [number_of(reader.frame(i)) for i in order[:20]] == [expected[i] for i in order[:20]]
    assert [number_of(frame) for _, frame in reader.iter_frames()] == expected
    return reader


@pytest.mark.parametrize("name", CODECS)
def test_frame_i_is_frame_i_in_any_order(tmp_path, name):
    codec, suffix, options = CODECS[name]
    path = write_video(tmp_path / f"v{suffix}", 50, codec, **options)
    reader = check_against_sequential_decoding(path, list(range(50)))
    assert reader.fps == pytest.approx(25.0, rel=0.01)


@pytest.mark.parametrize(("codec", "suffix"), [("libvpx-vp9", ".webm"), ("mjpeg", ".avi"), ("mpeg4", ".mp4")])
def test_odd_sizes_with_halved_colour(tmp_path, codec, suffix):
    reader = check_against_sequential_decoding(
        write_video(tmp_path / f"v{suffix}", 12, codec, size=(97, 65)), list(range(12))
    )
    assert reader.frame(0).shape == (65, 97, 3)


def test_variable_rate_keeps_the_times(tmp_path):
    times = [0, 40, 60, 200, 1000, 1010, 1500, 1501, 3000, 3040]
    reader = check_against_sequential_decoding(
        write_video(tmp_path / "v.mkv", 10, times=times, g="4", bf="2"), list(range(10))
    )
    np.testing.assert_allclose(reader.timestamps_sec * 1000, times, atol=1e-6)
    assert reader.fps == pytest.approx(9 / 3.04)


def test_trim_without_encoding_leaves_an_edit_list(tmp_path, video):
    """Cut at frame 17 by copying from the keyframe before: players hide frames 12 to 16, so frame 0 is 17."""
    path = tmp_path / "cut.mp4"
    with av.open(str(video)) as source, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        unit = int(Fraction(1, 25) / stream.time_base)
        for packet in source.demux(stream):
            if packet.size and packet.pts >= 12 * unit:
                packet.pts, packet.dts = packet.pts - 17 * unit, packet.dts - 17 * unit
                packet.stream = copy
                target.mux(packet)
    check_against_sequential_decoding(path, list(range(17, 40)))


@pytest.mark.parametrize("skipped", [4, 10, 12])
@pytest.mark.parametrize("name", ["H.264, B-frames", "H.264, open GOP", "HEVC, open GOP", "MPEG-2 program stream"])
def test_recordings_that_begin_inside_a_group(tmp_path, name, skipped):
    """What a live stream's recorder writes: packets before the first keyframe decode to nothing and are no frames."""
    codec, _, options = CODECS[name]
    whole, path = write_video(tmp_path / "whole.ts", 50, codec, **options), tmp_path / "cut.ts"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.size and number >= skipped:
                packet.stream = copy
                target.mux(packet)
    with av.open(str(path)) as container:
        shown = [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert 0 < shown[0] <= 36 and shown[-1] == 49
    check_against_sequential_decoding(path, shown)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_videos_are_shown_upright(tmp_path, degrees):
    """A phone held sideways: the picture is stored turned, and the file says by how much to turn it back."""
    path = tmp_path / "v.mp4"
    turned = [np.rot90(numbered_frame(i), -degrees // 90) for i in range(6)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = turned[0].shape[1], turned[0].shape[0], "yuv420p"
        stream.set_display_rotation(degrees)
        for picture in turned:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    reader = VideoReader(path)
    assert reader.frame(0).shape == (64, 96, 3)
    assert [number_of(frame) for frame in reader.frames([5, 0, 3])] == [5, 0, 3]
    assert reader.frame(0, fit=(48, 48)).shape == (32, 48, 3)


def test_cover_art_is_not_the_recording(tmp_path, video):
    path = tmp_path / "cover.mp4"
    for with_recording in (True, False):
        with av.open(str(video)) as source, av.open(str(path), "w") as target:
            cover = target.add_stream("mjpeg", rate=25)
            cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            copy = target.add_stream_from_template(source.streams.video[0]) if with_recording else None
            target.mux(cover.encode(av.VideoFrame.from_ndarray(numbered_frame(99), format="rgb24")))
            for packet in source.demux() if with_recording else ():
                if packet.size:
                    packet.stream = copy
                    target.mux(packet)
        if with_recording:
            assert [number_of(frame) for frame in VideoReader(path).frames([3, 39, 0])] == [3, 39, 0]
        else:
            with pytest.raises(VideoError, match="has no picture, only cover art"):
                VideoReader(path)


def test_frames_keep_order_and_repeats(video):
    assert [number_of(frame) for frame in VideoReader(video).frames([7, 3, 3, 39, 0])] == [7, 3, 3, 39, 0]


def test_every_group_of_pictures_is_decoded_once(tmp_path, monkeypatch):
    path = write_video(tmp_path / "v.mp4", 60, g="10", bf="2", **{"x264-params": "scenecut=0"})
    reader, decoded, begin = VideoReader(path), [], ForwardDecoder._begin

    def counting_begin(self) -> None:
        begin(self)
        self._frames = (decoded.append(frame.pts) or frame for frame in self._frames)

    monkeypatch.setattr(ForwardDecoder, "_begin", counting_begin)
    reader.frames(np.random.default_rng(1).permutation(60))
    assert len(decoded) == len(set(decoded)) == 60
    decoded.clear()
    reader.frames([59, 3, 57, 1, 3])
    assert len(decoded) == len(set(decoded)) == 4 + 10  # frames 0 to 3, frames 50 to 59


def test_times_and_rate(video):
    reader = VideoReader(video)
    assert reader.fps == 25.0
    np.testing.assert_allclose(reader.timestamps_sec[[0, 1, 39]], [0, 0.04, 1.56])


def test_one_frame(tmp_path):
    reader = VideoReader(write_video(tmp_path / "one.mp4", 1))
    assert len(reader) == 1
    assert number_of(reader.frame(0)) == 0
    assert reader.fps == 25.0


def test_frames_are_scaled_down_into_a_box_and_never_up(video):
    reader = VideoReader(video)
    assert reader.frames([3, 9], fit=(48, 1000)).shape == (2, 32, 48, 3)
    assert reader.frame(3, fit=(1000, 16)).shape == (16, 24, 3)
    np.testing.assert_array_equal(reader.frame(3, fit=(1000, 1000)), reader.frame(3))
    small = reader.frame(21, fit=(48, 32)).repeat(2, axis=0).repeat(2, axis=1)
    assert number_of(small) == 21
    with pytest.raises(VideoError, match="cannot fit into 0x10 pixels"):
        reader.frame(0, fit=(0, 10))


def test_one_reader_serves_several_threads(video):
    reader, wrong = VideoReader(video), []

    def read(seed: int) -> None:
        for index in np.random.default_rng(seed).permutation(40)[:10]:
            if number_of(reader.frame(index)) != index:
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


MEASURE_MEMORY = """
import resource, sys
import numpy as np
from dataset.video import VideoReader
reader = VideoReader(sys.argv[1])
reader.frame(0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frames = reader.frames(np.random.default_rng(0).permutation(len(reader))[:64])
unit = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes
print(len(reader), frames.nbytes, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit)
"""


@pytest.mark.slow
def test_memory_stays_at_the_frames_asked_for(tmp_path):
    """64 spread frames of ten minutes of 1080p (one encoded second, repeated): those frames and one group at most."""
    second, path = tmp_path / "second.mp4", tmp_path / "long.mp4"
    write_video(second, 10, fps=10, size=(1920, 1080), preset="ultrafast", g="10", **{"x264-params": "scenecut=0"})
    with av.open(str(second)) as source:
        stream = source.streams.video[0]
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in source.demux(stream) if p.size]
        with av.open(str(path), "w") as target:
            copy = target.add_stream_from_template(stream)
            period = int(1 / stream.time_base)
            for repeat in range(600):
                for data, pts, dts, key in packets:
                    packet = av.Packet(data)
                    packet.pts, packet.dts = pts + repeat * period, dts + repeat * period
                    packet.time_base, packet.is_keyframe, packet.stream = stream.time_base, key, copy
                    target.mux(packet)
    run = subprocess.run(
        [sys.executable, "-c", MEASURE_MEMORY, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    num_frames, wanted, grown = map(int, run.stdout.split())
    assert num_frames == 6000
    assert wanted == 64 * 1920 * 1080 * 3
    assert grown < wanted + 10 * 1920 * 1080 * 3


@pytest.mark.parametrize("index", [-1, 40])
def test_frames_outside_are_refused(video, index):
    with pytest.raises(VideoError, match=f"has 40 frames, 0 to 39; frame {index} is outside"):
        VideoReader(video).frame(index)


def test_missing_empty_corrupt_and_audio_only(tmp_path, video):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:500])
    write_sound(tmp_path / "sound.wav")
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


def test_a_file_cut_off_in_the_middle_is_an_error_and_not_invented_frames(tmp_path):
    whole = write_video(tmp_path / "v.mkv", 50, g="10")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    reader = VideoReader(cut)
    assert 10 < len(reader) < 50
    assert [number_of(frame) for _, frame in reader.iter_frames(range(len(reader) - 1))] == list(range(len(reader) - 1))


class TestPictureFolders:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        folder = tmp_path / "episode"
        folder.mkdir()
        for index in range(12):  # frame_9 before frame_10: by number, not by letter
            Image.fromarray(numbered_frame(index)).save(folder / f"frame_{index}.png")
        (folder / "fps.txt").write_text("10\n")
        return folder

    def test_is_a_video(self, folder):
        reader = VideoReader(folder)
        assert (len(reader), reader.fps) == (12, 10.0)
        np.testing.assert_allclose(reader.timestamps_sec[[0, 11]], [0, 1.1])
        assert [number_of(frame) for frame in reader.frames([10, 9, 2, 2])] == [10, 9, 2, 2]
        assert reader.frame(3, fit=(48, 48)).shape == (32, 48, 3)

    def test_needs_a_rate_and_distinct_numbers(self, folder):
        (folder / "fps.txt").write_text("fast")
        with pytest.raises(VideoError, match='holds "fast"; write one positive number'):
            VideoReader(folder)
        (folder / "fps.txt").unlink()
        with pytest.raises(VideoError, match="carries no times; write its frames per second into"):
            VideoReader(folder)
        (folder / "fps.txt").write_text("10")
        Image.fromarray(numbered_frame(0)).save(folder / "other_3.png")
        with pytest.raises(VideoError, match=r"frame_3\.png and other_3\.png have the same number"):
            VideoReader(folder)

    def test_a_broken_picture_is_named(self, folder):
        (folder / "frame_4.png").write_bytes(b"no picture")
        with pytest.raises(VideoError, match=r"frame 4, frame_4\.png cannot be read as a picture"):
            VideoReader(folder).frame(4)

    def test_has_a_fingerprint_that_follows_it(self, folder, tmp_path):
        before = fingerprint(folder)
        assert fingerprint(folder.rename(tmp_path / "elsewhere")) == before


def test_decord_gives_the_same_frames_where_it_is_right(video):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    order = [5, 31, 2]
    reader = VideoReader(video, backend="decord")
    assert [number_of(frame) for frame in reader.frames(order)] == order
    assert reader.frame(2, fit=(48, 48)).shape == (32, 48, 3)


@pytest.mark.parametrize(
    "name",
    [
        "H.264 in MPEG-TS, starts at 1.4 s", "H.264 in FLV", "H.264, open GOP", "H.264, intra refresh, no keyframes",
        "HEVC", "AV1", "MPEG-4, B-frames", "MPEG-2 program stream", "gif",
    ],
)  # fmt: skip
def test_decord_is_refused_where_it_is_wrong(tmp_path, name):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    codec, suffix, options = CODECS[name]
    path = write_video(tmp_path / f"v{suffix}", 50, codec, **options)
    with pytest.raises(VideoError, match="pyav"):
        VideoReader(path, backend="decord")


@pytest.fixture
def restore_default_backend():
    yield
    set_default_backend("pyav")


def test_the_default_backend_is_set_once_for_all_readers(video, tmp_path, restore_default_backend):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    assert VideoReader(video).backend == "pyav"
    set_default_backend("decord")
    assert VideoReader(video).backend == "decord" and VideoReader(video, "pyav").backend == "pyav"
    assert [number_of(frame) for frame in VideoReader(video).frames([5, 31, 2])] == [5, 31, 2]
    flv = write_video(tmp_path / "v.flv", 50, "libx264", g="10", bf="2")
    with pytest.raises(VideoError, match=r'v\.flv: decord .*; use video backend "pyav"'):
        VideoReader(flv)
    assert fingerprint(flv) == VideoReader(flv, "pyav").fingerprint
    set_default_backend("auto")
    assert VideoReader(flv).backend == "pyav"
    with pytest.raises(VideoError, match='video backend "opencv" is unknown; use "auto", "pyav" or "decord"'):
        set_default_backend("opencv")


def test_brightness_does_not_depend_on_the_backend(video):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    one, two = (dict(VideoReader(video, backend).iter_luma(16)) for backend in ("pyav", "decord"))
    assert all((one[index] == two[index]).all() for index in range(40))


def test_folders_of_pictures_are_refused_by_decord(tmp_path):
    (tmp_path / "fps.txt").write_text("10")
    Image.fromarray(numbered_frame(0)).save(tmp_path / "0.png")
    Image.fromarray(numbered_frame(1)).save(tmp_path / "1.png")
    with pytest.raises(VideoError, match='decord reads no folder of pictures; use video backend "pyav"'):
        VideoReader(tmp_path, "decord")


def test_fingerprint_follows_the_content(video, tmp_path):
    copy = tmp_path / "renamed.mp4"
    copy.write_bytes(video.read_bytes())
    assert fingerprint(copy) == fingerprint(video) == VideoReader(video).fingerprint
    assert fingerprint(copy).startswith(f"v2:{video.stat().st_size}:")
    copy.write_bytes(video.read_bytes() + b"x")
    assert fingerprint(copy) != fingerprint(video)
    with pytest.raises(VideoError, match="check the path"):
        fingerprint(tmp_path / "nothing.mp4")


def test_a_fingerprint_is_compared_with_a_file_or_an_open_reader(video):
    assert not has_fingerprint(video, "v2:1:5b6b9b1b1c7d7e8e0a0f3f2f1e1d1c1b")
    assert has_fingerprint(video, fingerprint(video))
    assert has_fingerprint(VideoReader(video), fingerprint(video))


class TestPixelsThatAreNotSquare:
    """A browser makes one side longer and none shorter."""

    @pytest.fixture(params=[("4/3", (128, 64)), ("2/3", (96, 96)), ("1/1", (96, 64))], ids=lambda sar: sar[0])
    def stretched(self, request, tmp_path):
        sar, size = request.param
        return write_video(tmp_path / "v.mp4", 12, **{"x264-params": f"sar={sar}"}), size

    def test_frames_have_the_shape_that_a_browser_shows(self, stretched):
        path, (width, height) = stretched
        reader = VideoReader(path)
        assert reader.frame(5).shape == (height, width, 3)
        assert reader.frames([7, 2], fit=(width // 2, height // 2)).shape == (2, height // 2, width // 2, 3)
        small = Image.fromarray(reader.frame(11)).resize((96, 64), Image.Resampling.BOX)
        assert number_of(np.asarray(small)) == 11

    def test_decord_gives_the_same_shape(self, stretched):
        pytest.importorskip("decord", reason="decord has no wheel for this platform")
        path, (width, height) = stretched
        assert VideoReader(path, "decord").frame(5).shape == (height, width, 3)


def test_a_file_is_demuxed_once_and_again_when_it_has_changed(video, tmp_path, monkeypatch):
    path, read = tmp_path / "v.mp4", []
    path.write_bytes(video.read_bytes())
    os.utime(path, (1, 1))
    monkeypatch.setattr("dataset.index_cache.SETTLED_SEC", 0.0)
    cache = IndexCache(lambda path: read.append(path) or index_stream(path), frames=lambda index: len(index.pts))
    monkeypatch.setattr("dataset.video._indexes", cache)
    assert len(VideoReader(path)) == len(VideoReader(str(path))) == 40 and fingerprint(path)
    assert len(read) == 1
    write_video(path, 7)
    assert len(VideoReader(path)) == 7 and len(read) == 2
    monkeypatch.setattr("dataset.index_cache.MOST_FRAMES", 10)
    other = write_video(tmp_path / "w.mp4", 9)
    assert len(VideoReader(other)) == len(VideoReader(other)) == 9  # the index of the other file makes room
    VideoReader(path)
    assert [path.name for path in read] == ["v.mp4", "v.mp4", "w.mp4", "v.mp4"]


def test_a_file_that_was_just_written_is_not_kept(tmp_path):
    """It may be written again within one tick of the clock of the file system."""
    path = tmp_path / "v.mp4"
    cache = IndexCache(lambda path: path.read_text(), frames=len)
    for text in ("one", "two"):
        path.write_text(text)
        assert cache.get(path) == text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.hdf5", b"", "is an HDF5 file, not a video; write the pictures of one camera into a video"),
        ("episode_3", b"\x89HDF\r\n\x1a\n" + bytes(300), "is an HDF5 file"),
        ("x.npz", b"PK\x03\x04", "is a file of NumPy arrays"),
        ("x.mp4", b"PK\x03\x04", "is an archive, not a video; unpack it"),
        ("x.parquet", b"PAR1", "is a Parquet table"),
        ("x.bag", b"#ROSBAG V2.0\n", "is a ROS bag, not a video; write the pictures of one topic"),
        ("x.mcap", b"", "is an MCAP log"),
        ("x.json", b"{}", "is a JSON file, not a video; name the video"),
        ("x.txt", b"hello\n" * 50, "is a text file"),
        ("x.nfo", b"hello\n" * 50, "is no recording of a camera"),  # FFmpeg draws text as a film of a terminal
        ("x.png", b"\x89PNG\r\n\x1a\n", "is one picture, not a video; name the folder"),
    ],
)
def test_what_is_no_video_is_said_with_the_way_in(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=f"{name}: {message}"):
        VideoReader(tmp_path / name)


@pytest.mark.parametrize("size", [200, 400, 5000, 100_000])
@pytest.mark.parametrize("start", [b"", b"\x09", b"\x89HDX"])
@pytest.mark.parametrize("name", ["v.mp4", "v.mjpeg"])
def test_zeros_are_no_video(tmp_path, start, size, name):
    (tmp_path / name).write_bytes(start + bytes(size))
    with pytest.raises(VideoError, match=r"cannot be decoded|is no recording|holds no frames"):
        VideoReader(tmp_path / name)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://example.org/v.mp4", "is an address, and only files are read; download it first"),
        ("rtsp://10.0.0.2/cam", "is a live stream; record it first"),
        ("s3://bucket/v.mp4", "is in a remote store"),
    ],
)
def test_addresses_are_refused_with_the_way_in(address, message):
    for named in (address, Path(address)):
        with pytest.raises(VideoError, match=message):
            VideoReader(named)


def make_pictures(folder: Path, *names: str) -> Path:
    folder.mkdir()
    (folder / "fps.txt").write_text("5")
    for number, name in enumerate(names):
        Image.fromarray(numbered_frame(number)).save(folder / name)
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["1699999999_900000000.png", "1700000000_000000000.png", "1700000000_100000000.png"],
        ["1699999999.9.png", "1700000000.05.png", "1700000000.1.png"],  # time.time(), without closing zeros
        ["cam_1699999999_5_000.png", "cam_1700000000_4_000.png"],
        ["20260131_235959_900.png", "20260201_000000_000.png"],
        ["2026-01-31_10-20-30.png", "2026-01-31_10-21-05.png"],
        ["0_900000000.jpg", "1_100000000.jpg"],
        ["frame_000001_0.033.png", "frame_000002_0.066.png"],  # number and time agree
        ["frame_9_cam0.png", "frame_10_cam0.png"],
        ["0.25.png", "0.50.png", "1.00.png"],
    ],
)
def test_pictures_are_in_the_order_of_times_and_numbers(tmp_path, names):
    folder = make_pictures(tmp_path / "p", *names)
    frames = VideoReader(folder).frames(range(len(names)))
    if names[0].endswith(".png"):
        assert [number_of(frame) for frame in frames] == list(range(len(names)))
    assert [path.name for path in image_files(folder)] == names


@pytest.mark.parametrize(
    "names",
    [
        ["cam1_000001.png", "cam1_000002.png", "cam2_000001.png", "cam2_000002.png"],
        ["cam1_2.png", "cam2_1.png"],
        ["1.9.png", "1.10.png"],  # one second and nine or ten hundredths, or frames 9 and 10
        ["1700000000_9.png", "1700000000_85.png", "1700000001_0.png"],
    ],
)
def test_pictures_without_a_clear_order_are_refused(tmp_path, names):
    with pytest.raises(VideoError, match=r"have the same number|can be ordered in two ways; keep the pictures of one"):
        VideoReader(make_pictures(tmp_path / "p", *names))


def test_grey_pictures_of_16_bits_are_scaled(tmp_path):
    folder = make_pictures(tmp_path / "p")
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(folder / "1.png")
    Image.fromarray(values).save(folder / "2.tiff")
    for frame in VideoReader(folder).frames([0, 1]):
        assert frame[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]
    Image.fromarray(np.array([[0.5]], dtype=np.float32)).save(folder / "3.tiff")
    with pytest.raises(VideoError, match=r"3\.tiff holds values of more than 16 bits"):
        VideoReader(folder).frame(2)


class TestNotices:
    """What a player may show otherwise than it is read is said."""

    def test_of_a_plain_video(self, video, tmp_path):
        assert VideoReader(video).notices == []
        assert VideoReader(make_pictures(tmp_path / "p", "1.png")).notices == []
        assert VideoReader(write_video(tmp_path / "v.gif", 3, "gif")).notices == []

    def test_of_interlaced_frames(self, tmp_path):
        path = write_video(tmp_path / "v.mpg", 5, "mpeg2video", flags="+ilme+ildct")
        assert [notice.split(",")[0] for notice in VideoReader(path).notices] == ["is interlaced"]

    def test_of_transparent_parts(self, tmp_path):
        folder = make_pictures(tmp_path / "p")
        Image.new("RGBA", (8, 8), (255, 0, 0, 100)).save(folder / "1.png")
        assert "transparent" in VideoReader(folder).notices[0]
        path = tmp_path / "v.mov"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("qtrle", rate=5)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "argb"
            picture = np.full((16, 16, 4), 90, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="argb")))
            container.mux(stream.encode())
        assert "transparent" in VideoReader(path).notices[0]

    def test_of_a_clean_aperture(self, tmp_path):
        path = write_video(tmp_path / "v.mp4", 5)
        content = bytearray(path.read_bytes())
        clap = struct.pack(">I4s8I", 40, b"clap", 80, 1, 60, 1, 0, 1, 0, 1)
        place = 0
        for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
            place = content.index(box, place)
            (size,) = struct.unpack(">I", content[place - 4 : place])
            content[place - 4 : place] = struct.pack(">I", size + len(clap))
        end = place - 4 + size  # of the last box, before it grew
        path.write_bytes(bytes(content[:end]) + clap + bytes(content[end:]))
        reader = VideoReader(path)
        assert "has a clean aperture of 80x60 (clap), and the whole picture of 96x64" in reader.notices[0]
        assert number_of(reader.frame(3)) == 3
