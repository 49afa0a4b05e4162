import json

import pytest
from material import write_video
from PIL import Image

from dataset.demonstration import read_demonstrations
from dataset.inputs import find_annotations, find_reports, find_videos
from dataset.recipe import read_data_section, split_words
from dataset.video import VideoReader


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "a.MP4", "note.txt", "c.mkv", ".hidden.mp4", "day2/d.mp4", ".cache/e.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_files_folders_and_globs_each_once_in_order(folder):
    assert names(find_videos(folder)) == ["a.MP4", "b.mp4", "c.mkv", "d.mp4"]
    assert names(find_videos(str(folder / "*.mp4"))) == ["b.mp4"]
    assert names(find_videos(str(folder / "**" / "*.mp4"))) == ["b.mp4", "d.mp4"]
    assert names(find_videos(str(folder / "day?"))) == ["d.mp4"]  # a folder that a glob names
    assert names(find_videos([folder / "c.mkv", folder])) == ["c.mkv", "a.MP4", "b.mp4", "d.mp4"]
    assert find_videos([]) == []


def test_links_to_folders_are_followed_once(folder):
    (folder / "day2" / "loop").symlink_to(folder)
    (folder / "link").symlink_to(folder / "day2")
    assert names(find_videos(folder)) == ["a.MP4", "b.mp4", "c.mkv", "d.mp4"]


def test_a_file_with_brackets_in_its_name_is_no_pattern(tmp_path):
    path = tmp_path / "clip[1].mp4"
    path.touch()
    assert find_videos(path) == [path]


def test_a_folder_of_pictures_is_one_video_wherever_it_is_named(tmp_path):
    pictures = tmp_path / "all" / "take"
    pictures.mkdir(parents=True)
    for number in (1, 2):
        Image.new("RGB", (8, 8)).save(pictures / f"{number}.png")
    (pictures / "fps.txt").write_text("5")
    assert find_videos(pictures) == find_videos(tmp_path) == find_videos(str(tmp_path / "*" / "t*")) == [pictures]
    assert len(VideoReader(find_videos(tmp_path)[0])) == 2


def test_a_picture_beside_videos_makes_no_folder_of_pictures(folder):
    Image.new("RGB", (8, 8)).save(folder / "thumbnail1.png")
    assert len(find_videos(folder)) == 4


@pytest.mark.parametrize("find", [find_videos, find_annotations])
def test_an_address_is_no_path_and_no_pattern(find):
    with pytest.raises(ValueError, match=r"https://x\.org/v\.mp4\?signed=1 is an address, and only files are read"):
        find(["https://x.org/v.mp4?signed=1"])


def test_a_path_without_videos_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no video"):
        find_videos(tmp_path)
    (tmp_path / "notes.json").touch()
    (tmp_path / "demo_0.hdf5").touch()
    with pytest.raises(ValueError, match=r"holds no video .*; demo_0\.hdf5 is an HDF5 file, not a video; write the"):
        find_videos(tmp_path)
    with pytest.raises(ValueError, match="no file matches"):
        find_videos(str(tmp_path / "*.mp4"))


def test_annotations_are_named_by_the_same_rule(annotation_path, tmp_path):
    nested = tmp_path / "labels" / "day1" / "ep.json"
    nested.parent.mkdir(parents=True)
    document = json.loads(annotation_path.read_text())
    nested.write_text(json.dumps(document | {"video": "../../demo.mp4"}))
    (tmp_path / "report.json").write_text('{"verdict": 1}')
    (tmp_path / "labels" / "ep2.json.draft").write_text("{}")
    assert names(find_annotations(tmp_path)) == ["demo.json", "ep.json"]
    assert [d.path for d in read_demonstrations(tmp_path / "labels")] == [str(nested)]
    assert [d.path for d in read_demonstrations([str(tmp_path / "**" / "e*.json")])] == [str(nested)]
    (tmp_path / "labels" / "cut.json").write_text('{"version": 1, "vid')
    with pytest.raises(ValueError, match=r"cut\.json: no valid JSON"):  # meant to be one
        read_demonstrations(tmp_path / "labels")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no annotation"):
        find_annotations(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"no file matches .*x\*\.json; check the pattern"):
        find_annotations(str(tmp_path / "x*.json"))


def test_a_recipe_names_them_by_the_same_rule(annotation_path, tmp_path):
    for value in (f"[{tmp_path}/*.json]", f"{tmp_path}/d*.json", f"['{tmp_path}']", str(tmp_path)):
        assert read_data_section(None, [f"data.annotations={value}"]).annotations == (str(annotation_path),)
    with pytest.raises(ValueError, match=r"or with a \* at its start, in quotes"):
        read_data_section(None, ["data.annotations=[*.json]"])


def test_words_are_names_or_overrides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rate=5.json").touch()
    assert split_words(["a.json", "lora.r=32", "rate=5.json", "data.annotations=[x]", "l/*.json"]) == (
        ["a.json", "rate=5.json", "l/*.json"],
        ["lora.r=32", "data.annotations=[x]"],
    )


def test_reports_are_named_by_the_same_rule(tmp_path):
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "report.json").touch()
    assert len(find_reports(tmp_path)) == len(find_reports(str(tmp_path / "*" / "report.json"))) == 2


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_lerobot_data_set_is_named_with_the_way_in(tmp_path, version):
    root = tmp_path / "set"
    (root / "meta").mkdir(parents=True)
    (root / "meta" / "info.json").write_text(json.dumps({"codebase_version": version}))
    camera = root / "videos" / ("chunk-000/observation.images.top" if version == "v2.1" else "top/chunk-000")
    camera.mkdir(parents=True)
    write_video(camera / ("episode_000000.mp4" if version == "v2.1" else "file-000.mp4"), 3)
    for named in (root, tmp_path):
        with pytest.raises(ValueError, match="is a LeRobot data set, which is not read as a whole yet") as caught:
            find_videos(named)
        assert (f"one video per episode: {camera}" if version == "v2.1" else "cut them with ffmpeg") in str(
            caught.value
        )
    assert len(find_videos(camera)) == 1
