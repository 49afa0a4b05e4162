import os
import shutil

import pytest
from material import number_of, write_video

from annotate.open_videos import OpenVideos
from annotate.queue import find_episodes
from dataset import VideoError


def test_a_replaced_video_is_noticed(video, tmp_path):
    shutil.copy(video, tmp_path / "a.mp4")
    episode = next(iter(find_episodes([tmp_path]).values()))
    videos = OpenVideos()
    reader, version = videos.reader(episode), videos.version(episode)
    assert videos.reader(episode) is reader
    os.utime(tmp_path / "a.mp4")  # only touched: the same content
    assert videos.version(episode) == version
    write_video(tmp_path / "new.mp4", 25)
    os.replace(tmp_path / "new.mp4", tmp_path / "a.mp4")
    assert videos.version(episode) != version
    assert len(videos.reader(episode)) == 25
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(VideoError, match="cannot be read"):
        videos.version(episode)


def test_cameras_must_have_the_same_frames(video, tmp_path):
    shutil.copy(video, tmp_path / "a.mp4")
    (tmp_path / "front").mkdir()
    write_video(tmp_path / "front" / "a.mp4", 30)
    episode = next(iter(find_episodes([tmp_path / "a.mp4"], cameras={"front": tmp_path / "front"}).values()))
    videos = OpenVideos()
    assert number_of(videos.reader(episode).frame(7)) == 7
    with pytest.raises(VideoError, match=r"camera front: .* has 30 frames, .* has 40"):
        videos.reader(episode, 1)
    with pytest.raises(VideoError, match="there is no number 2"):
        videos.reader(episode, 2)
