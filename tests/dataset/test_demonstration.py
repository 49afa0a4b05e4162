from dataclasses import replace

import pytest
from material import write_video

from dataset.annotation import AnnotationError, Camera
from dataset.annotation_file import read_annotation, write_annotation
from dataset.demonstration import read_demonstration, read_demonstrations, update_video_paths
from dataset.video import VideoError, VideoReader, fingerprint


def test_another_video_of_the_same_name_is_refused(annotation_path):
    assert len(read_demonstrations([annotation_path])) == 1
    video = annotation_path.with_suffix(".mp4")
    video.write_bytes(video.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="another file than was annotated"):
        read_demonstrations([annotation_path])
    video.unlink()
    with pytest.raises(ValueError, match="does not exist"):
        read_demonstrations([annotation_path])
    with pytest.raises(ValueError, match="no annotations"):
        read_demonstrations([])


def test_a_video_that_moved_or_was_renamed_is_found_by_its_content(annotation_path, tmp_path):
    video = annotation_path.with_suffix(".mp4")
    write_video(tmp_path / "another.mp4", 12)
    (tmp_path / "notes.mp4").write_text("no video")
    (tmp_path / "raw").mkdir()
    moved = video.rename(tmp_path / "raw" / "take_07.mp4")
    demonstration = read_demonstration(annotation_path)
    assert (demonstration.video, demonstration.moved) == (str(moved), True)
    video.write_bytes((tmp_path / "another.mp4").read_bytes())  # another file has taken its name
    assert read_demonstration(annotation_path).video == str(moved)


def test_the_new_place_can_be_recorded(annotation_path, tmp_path):
    wrist = write_video(tmp_path / "wrist.mp4", 40, "mpeg4")
    annotation = replace(read_annotation(annotation_path), cameras=(Camera("wrist", "wrist.mp4", fingerprint(wrist)),))
    write_annotation(annotation_path, annotation)
    (tmp_path / "raw").mkdir()
    annotation_path.with_suffix(".mp4").rename(tmp_path / "raw" / "a.mp4")
    wrist.rename(tmp_path / "raw" / "b.mp4")
    updated = update_video_paths(read_demonstration(annotation_path))
    assert (updated.annotation.video, updated.annotation.cameras[0].video) == ("raw/a.mp4", "raw/b.mp4")
    assert read_demonstration(annotation_path) == updated
    assert not updated.moved


def test_a_moved_video_is_looked_for_where_one_says(annotation_path, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    moved = annotation_path.with_suffix(".mp4").rename(elsewhere / "x.mp4")
    with pytest.raises(VideoError, match=r"no file under .* has its content; .* name its folder with --videos"):
        read_demonstration(annotation_path)
    assert read_demonstration(annotation_path, search=[elsewhere]).video == str(moved)


def test_frames_and_rate_are_compared_with_the_video(annotation_path):
    """Windows follow the rate of the annotation in training and that of the video at inference."""
    annotation = read_annotation(annotation_path)
    write_annotation(annotation_path, replace(annotation, fps=50.0, num_frames=52))
    with pytest.raises(AnnotationError) as caught:
        read_demonstration(annotation_path)
    assert [problem.place for problem in caught.value.problems] == ["num_frames", "fps"]
    assert "num_frames is 52, but" in str(caught.value) and "has 40 frames; write 40" in str(caught.value)
    assert "fps is 50.0, but" in str(caught.value) and "has 25.0 frames per second; write 25.0" in str(caught.value)
    write_annotation(annotation_path, replace(annotation, fps=25.001))  # rounded by hand
    assert read_demonstration(annotation_path).annotation.fps == 25.001


def test_a_fingerprint_of_the_earlier_form_is_refused_with_the_remedy(annotation_path):
    old = "sha256:5b6b9b1b1c7d7e8e0a0f3f2f1e1d1c1b"
    annotation = replace(read_annotation(annotation_path), cameras=(Camera("wrist", "w.mp4", old),))
    write_annotation(annotation_path, annotation)
    with pytest.raises(AnnotationError, match="annotate the video again, or replace") as caught:
        read_demonstration(annotation_path)
    assert [problem.place for problem in caught.value.problems] == ["cameras[0].fingerprint"]
    write_annotation(annotation_path, replace(annotation, fingerprint=old, cameras=()))
    with pytest.raises(AnnotationError, match=f'fingerprint "{old}" has a form that is no longer read'):
        read_demonstration(annotation_path)


def test_all_files_that_cannot_be_used_are_named_at_once(annotation_path, tmp_path):
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError) as caught:
        read_demonstrations([tmp_path / "broken.json", annotation_path, tmp_path / "missing.json"])
    with pytest.raises(ValueError, match=r"demo\.mp4: is no text; name an annotation \(JSON\), not a video"):
        read_demonstrations(annotation_path.with_suffix(".mp4"))
    assert "broken.json: no valid JSON" in str(caught.value) and "missing.json: no such file" in str(caught.value)


def test_cameras_are_found_and_share_the_frame_numbers(annotation_path, tmp_path):
    wrist = write_video(tmp_path / "wrist.mp4", 40, "mpeg4")
    annotation = read_annotation(annotation_path)
    with_camera = replace(annotation, cameras=(Camera("wrist", "wrist.mp4", fingerprint(wrist)),))
    write_annotation(annotation_path, with_camera)
    demonstration = read_demonstration(annotation_path)
    assert demonstration.views == {"main": str(annotation_path.with_suffix(".mp4")), "wrist": str(wrist)}
    short = write_video(tmp_path / "short.mp4", 30)
    wrong = replace(annotation, cameras=(Camera("side", "short.mp4", VideoReader(short).fingerprint),))
    write_annotation(annotation_path, wrong)
    with pytest.raises(VideoError, match='camera "side" has 30 frames, the main video 40'):
        read_demonstration(annotation_path)
