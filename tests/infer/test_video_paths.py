import pytest

from infer.video_paths import find_videos


def test_files_folders_and_globs_each_once_in_order(tmp_path):
    for name in ("b.mp4", "a.MP4", "note.txt", "c.mkv"):
        (tmp_path / name).touch()
    assert [path.name for path in find_videos(tmp_path)] == ["a.MP4", "b.mp4", "c.mkv"]
    assert [path.name for path in find_videos(str(tmp_path / "*.mp4"))] == ["b.mp4"]
    assert [path.name for path in find_videos([tmp_path / "c.mkv", tmp_path])] == ["c.mkv", "a.MP4", "b.mp4"]


def test_a_file_with_brackets_in_its_name_is_no_pattern(tmp_path):
    path = tmp_path / "clip[1].mp4"
    path.touch()
    assert find_videos(path) == [path]


def test_a_path_without_videos_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no video"):
        find_videos(tmp_path)
    with pytest.raises(ValueError, match="no file matches"):
        find_videos(str(tmp_path / "*.mp4"))
    with pytest.raises(ValueError, match="no video was named"):
        find_videos([])
