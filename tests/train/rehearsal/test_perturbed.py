import numpy as np
import pytest

from dataset.video import VideoReader
from dataset.window import WindowSpec, window_indices
from train.rehearsal.perturbed import AS_RECORDED, RECORDINGS, ChangedVideo, crop, scale_brightness


def test_brightness_by_hand():
    frame = np.array([[[0, 100, 200]]], dtype=np.uint8)
    assert scale_brightness(frame, 0.5).tolist() == [[[0, 50, 100]]]
    assert scale_brightness(frame, 1.5).tolist() == [[[0, 150, 255]]]


def test_a_crop_keeps_the_size_and_shows_the_middle():
    frame = np.zeros((100, 200, 3), dtype=np.uint8)
    frame[:8] = 255  # exactly what is cut off at the top
    assert crop(frame).shape == frame.shape
    assert crop(frame).max() == 0
    frame[50:] = 90
    assert crop(frame)[-1].tolist() == [[90, 90, 90]] * 200


@pytest.mark.parametrize("spec", [WindowSpec(3, rate_hz=5.0), WindowSpec(3, stride=5.0)])
def test_speed_changes_the_windows_and_not_the_frame_asked_about(spec):
    windows = {copy.name: window_indices(copy.window(spec), 40, timing=25.0) for copy in RECORDINGS}
    assert windows["as recorded"] == windows["darker"] == (30, 35, 40)
    assert windows["double speed"] == (20, 30, 40)
    assert windows["half speed"] == (35, 38, 40)


def test_a_changed_video_has_the_frames_and_times_of_the_recording(video):
    reader = VideoReader(video)
    changed = ChangedVideo(reader, lambda frame: 255 - frame)
    assert (len(changed), changed.fps) == (len(reader), reader.fps)
    for (number, frame), (changed_number, changed_frame) in zip(
        reader.iter_frames([3, 7]), changed.iter_frames([3, 7]), strict=True
    ):
        assert number == changed_number
        np.testing.assert_array_equal(changed_frame, 255 - frame)


def test_recordings_have_distinct_names_and_remedies():
    assert RECORDINGS[0] is AS_RECORDED and len({recording.name for recording in RECORDINGS}) == len(RECORDINGS)
    assert all(recording.remedy for recording in RECORDINGS[1:])
