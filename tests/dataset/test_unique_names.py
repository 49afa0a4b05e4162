from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import make_annotation, write_video

from dataset.annotation_file import write_annotation
from dataset.check import check_files
from dataset.demonstration import Demonstration, read_demonstrations
from dataset.unique_names import unique_names

PARTS = st.sampled_from(["a", "b", "ep0", "ep1"])
FILES = st.builds("/".join, st.lists(PARTS, min_size=1, max_size=4)).flatmap(
    lambda stem: st.sampled_from([f"{stem}.json", f"{stem}.mp4", f"/{stem}.json", f"/{stem}"])
)


def test_a_name_is_as_short_as_the_other_files_allow():
    assert unique_names(["day1/ep0.json", "day2/ep0.json", "day2/ep1.json"]) == ["day1/ep0", "day2/ep0", "ep1"]
    assert unique_names(["a/ep0.json", "a/ep0.mp4"]) == ["ep0.json", "ep0.mp4"]
    assert unique_names(["/a/ep0.json", "/x/a/ep0.json"]) == ["a/ep0", "x/a/ep0"]
    assert unique_names(["/ep0.json", "/a/ep0.json"]) == ["ep0", "a/ep0"]
    assert unique_names([]) == []


def test_the_same_file_twice_is_refused():
    with pytest.raises(ValueError, match=r"^\./a\.json is given twice; name each file once$"):
        unique_names(["./a.json", "b.json", "a.json"])


@given(st.lists(FILES, max_size=8, unique_by=lambda path: Path(path).absolute()))
def test_names_are_relative_paths_and_all_different(paths):
    names = unique_names(paths)
    assert len(set(names)) == len(paths)
    assert all(name and not Path(name).is_absolute() and ".." not in Path(name).parts for name in names)
    assert all(str(Path(path).absolute().with_suffix("")).endswith(Path(name).with_suffix("").name)
               for path, name in zip(paths, names, strict=True))  # fmt: skip


def test_demonstrations_of_one_file_name_are_told_apart(tmp_path):
    paths = [tmp_path / day / "ep0.json" for day in ("day1", "day2")]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        write_annotation(path, make_annotation(write_video(path.with_suffix(".mp4"), 12 + number), 4, 8))
    assert [demonstration.name for demonstration in read_demonstrations(paths)] == ["day1/ep0", "day2/ep0"]
    assert [demonstration.name for demonstration in check_files(paths)[0]] == ["day1/ep0", "day2/ep0"]
    assert Demonstration(str(paths[0]), read_demonstrations(paths)[0].annotation).name == "ep0"
