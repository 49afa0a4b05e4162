import shutil

import pytest

from annotate.queue import find_episodes


@pytest.fixture
def folder(video, tmp_path):
    for name in ("b.mp4", "a.mp4", "notes.txt"):
        shutil.copy(video, tmp_path / name)
    return tmp_path


def test_a_folder_is_a_queue_in_order(folder):
    episodes = find_episodes([folder])
    assert [episode.video.name for episode in episodes.values()] == ["a.mp4", "b.mp4"]
    assert [episode.annotation for episode in episodes.values()] == [folder / "a.json", folder / "b.json"]
    assert find_episodes([folder]) == episodes  # the ids are the same after a restart
    elsewhere = find_episodes([folder / "a.mp4"], folder / "labels")
    assert next(iter(elsewhere.values())).annotation == folder / "labels" / "a.json"


def test_a_folder_of_numbered_pictures_is_one_video(folder):
    frames = folder / "frames"
    frames.mkdir()
    (frames / "000001.png").write_bytes(b"")
    assert [episode.video.name for episode in find_episodes([folder]).values()] == ["a.mp4", "b.mp4", "frames"]
    assert next(iter(find_episodes([frames]).values())).annotation == folder / "frames.json"


def test_status_follows_the_files(folder):
    episode = next(iter(find_episodes([folder]).values()))
    assert episode.status == "new"
    episode.annotation.write_text("{}")
    assert episode.status == "labelled"
    episode.marking_file.write_text("{}")
    assert episode.status == "unfinished"


def test_cameras_are_found_by_name(folder, video):
    front = folder / "front"
    front.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(video, front / name)
    episode = next(iter(find_episodes([folder], cameras={"front": front}).values()))
    assert episode.cameras == (("main", folder / "a.mp4"), ("front", front / "a.mp4"))
    episodes = find_episodes([folder / "a.mp4"], cameras={"front": front / "b.mp4"})
    assert next(iter(episodes.values())).cameras[1] == ("front", front / "b.mp4")
    (front / "b.mp4").unlink()
    with pytest.raises(ValueError, match=r"camera front: .* holds no video\(s\) named b"):
        find_episodes([folder], cameras={"front": front})
    with pytest.raises(ValueError, match="is one file for 2 episodes"):
        find_episodes([folder], cameras={"front": front / "a.mp4"})


def test_paths_that_do_not_do_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="no such file or folder"):
        find_episodes([folder / "none.mp4"])
    with pytest.raises(ValueError, match="is an address, and only files are read; download it first"):
        find_episodes(["https://example.org/v.mp4"])
    (folder / "x.hdf5").touch()
    with pytest.raises(ValueError, match="is an HDF5 file, not a video"):
        find_episodes([folder / "x.hdf5"])
    with pytest.raises(ValueError, match="no video was given"):
        find_episodes([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no video"):
        find_episodes([tmp_path / "empty"])
    shutil.copy(folder / "a.mp4", folder / "a.mkv")
    with pytest.raises(ValueError, match="would share the annotation"):
        find_episodes([folder])


def test_nested_folders_and_globs(folder):
    (folder / "day2").mkdir()
    shutil.copy(folder / "a.mp4", folder / "day2" / "c.mp4")
    names = [str(episode.video.relative_to(folder)) for episode in find_episodes([folder]).values()]
    assert names == ["a.mp4", "b.mp4", "day2/c.mp4"]
    assert [e.video.name for e in find_episodes([str(folder / "**" / "c.mp4")]).values()] == ["c.mp4"]
