import json
import shutil
import threading

import pytest
from material import TASK, make_annotation, write_video

from annotate import ConflictError, Marking, ReplacedError, Store
from annotate.other_episodes import episode_like
from dataset import Stage, VideoReader, read_annotation, write_annotation

STAGES = (Stage("reach", 0, 10), Stage("lift", 10, 30))
FINISHED = Marking(TASK, STAGES, True, "it hangs")


@pytest.fixture
def first(store):
    return next(iter(store.episodes))


def test_a_draft_is_kept_apart_until_it_is_finished(store, first, tmp_path):
    marking, revision = store.load(first)
    assert marking == Marking(TASK)
    saved = store.save(first, Marking(TASK, STAGES), revision)
    assert "choose Done or Not done" in saved.missing
    assert (tmp_path / "a.json.draft").exists()
    assert not (tmp_path / "a.json").exists()
    saved = store.save(first, FINISHED, saved.revision)
    assert saved.missing is None
    assert not (tmp_path / "a.json.draft").exists()
    assert read_annotation(tmp_path / "a.json").stages == STAGES
    assert Store.open([tmp_path], TASK).load(first) == (FINISHED, saved.revision)  # the same after a restart
    store.save(first, Marking(TASK, STAGES), saved.revision)
    assert read_annotation(tmp_path / "a.json").success  # a draft never touches what was finished


def test_an_outdated_revision_conflicts_and_nothing_is_overwritten(store, first, tmp_path):
    _, revision = store.load(first)
    store.save(first, FINISHED, revision)
    with pytest.raises(ConflictError, match=r"a\.mp4 was changed elsewhere"):
        store.save(first, Marking("Another task", STAGES), revision)
    assert read_annotation(tmp_path / "a.json").task == TASK
    assert store.save(first, FINISHED, revision).missing is None  # a save whose answer was lost is no conflict
    kept = store.keep_copy(first, Marking("Another task", STAGES))
    assert kept.name.startswith("a.json.kept-")
    assert json.loads(kept.read_text())["task"] == "Another task"


def test_a_replaced_video_is_not_annotated_with_the_old_ones_stages(store, first, tmp_path):
    _, revision = store.load(first)
    version = store.version(first)
    write_video(tmp_path / "a.mp4", 35)
    with pytest.raises(ReplacedError, match="was replaced by another file"):
        store.save(first, FINISHED, revision, version)
    write_annotation(tmp_path / "b.json", make_annotation(tmp_path / "a.mp4", 10, 30))
    with pytest.raises(ValueError, match="belongs to another file"):
        store.load(list(store.episodes)[1])


def test_what_the_page_does_not_show_is_kept(store, first, tmp_path):
    measured = tuple(float(frame) for frame in range(40))
    fields = {"measured_progress": measured, "annotator": "anna", "extra": {"weather": "dry"}}
    write_annotation(tmp_path / "a.json", make_annotation(tmp_path / "a.mp4", 10, 30, **fields))
    marking, revision = store.load(first)
    store.save(first, Marking("Another task", marking.stages, True), revision)
    annotation = read_annotation(tmp_path / "a.json")
    assert (annotation.measured_progress, annotation.annotator) == (measured, "anna")
    assert (annotation.task, dict(annotation.extra)) == ("Another task", {"weather": "dry"})


def test_damaged_files_are_named_and_stay_as_they_are(store, first, tmp_path):
    (tmp_path / "a.json").write_text("{cut")
    with pytest.raises(ValueError, match=r"a\.json: no valid JSON.*it was not changed"):
        store.load(first)
    (tmp_path / "a.json").unlink()
    (tmp_path / "a.json.draft").write_text("[1]")
    with pytest.raises(ValueError, match=r"a\.json\.draft.*correct it"):
        store.load(first)
    assert (tmp_path / "a.json.draft").read_text() == "[1]"


def test_the_queue_goes_round(store, first):
    second = list(store.episodes)[1]
    assert store.next_unlabelled() == first
    assert store.next_unlabelled(first) == second
    assert store.next_unlabelled(second) == first
    for key in (first, second):
        store.save(key, FINISHED, store.load(key)[1])
    assert store.next_unlabelled(second) == second


def test_an_episode_takes_task_and_stages_from_the_one_before(store, first, tmp_path):
    second = list(store.episodes)[1]
    assert episode_like(store.episodes, second, "Wipe the table") is None
    store.save(first, Marking("Wipe the table", STAGES), store.load(first)[1])
    assert episode_like(store.episodes, second, "wipe the table.") == (first, Marking("Wipe the table", STAGES))
    assert episode_like(store.episodes, second, TASK) is None  # stages of another task are no help
    assert store.load(second)[0] == Marking(TASK)  # the command line's task goes first
    assert Store.open([tmp_path]).load(second)[0] == Marking("Wipe the table")


def test_a_done_episode_gives_its_stages_before_a_nearer_failure(video, tmp_path):
    for name in "abc":
        shutil.copy(video, tmp_path / f"{name}.mp4")
    store = Store.open([tmp_path], TASK)
    done, failed, new = store.episodes
    store.save(done, FINISHED, store.load(done)[1])
    store.save(failed, Marking(TASK, STAGES[:1], False, final_progress=30.0), store.load(failed)[1])
    assert episode_like(store.episodes, new, TASK)[0] == done


def test_starting_over_takes_the_annotation_away_and_keeps_a_copy(store, first, tmp_path):
    revision = store.save(first, FINISHED, store.load(first)[1]).revision
    with pytest.raises(ConflictError, match="changed elsewhere"):
        store.clear(first, "another")
    revision, kept = store.clear(first, revision)
    assert not list(tmp_path.glob("*.json"))
    assert read_annotation(tmp_path / kept).stages == STAGES
    assert store.load(first) == (Marking(TASK), revision)
    assert store.episode(first).status == "new"
    assert store.clear(first, revision) == (revision, None)


def test_nobody_waits_while_another_video_is_indexed(store, first, monkeypatch):
    second = list(store.episodes)[1]
    entered, go_on = threading.Event(), threading.Event()
    original = VideoReader.__init__

    def slow(self, path, *arguments):
        if path == store.episode(second).video:
            entered.set()
            assert go_on.wait(20)
        original(self, path, *arguments)

    monkeypatch.setattr(VideoReader, "__init__", slow)
    other = threading.Thread(target=store.load, args=(second,))
    other.start()
    assert entered.wait(20)
    done = threading.Thread(target=lambda: store.save(first, FINISHED, store.load(first)[1]))
    done.start()
    done.join(10)
    finished = not done.is_alive()
    go_on.set()
    other.join()
    assert finished


def test_a_full_disk_leaves_the_old_state(store, first, tmp_path, monkeypatch):
    _, revision = store.load(first)
    revision = store.save(first, Marking(TASK, STAGES[:1]), revision).revision
    before = (tmp_path / "a.json.draft").read_bytes()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", refuse)
        with pytest.raises(OSError, match="No space left"):
            store.save(first, FINISHED, revision)
    assert (tmp_path / "a.json.draft").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json.draft", "a.mp4", "b.mp4"]
    store.save(first, FINISHED, revision)


def test_a_folder_that_went_away_is_no_conflict(video, tmp_path):
    store = Store.open([video], TASK, tmp_path / "labels")
    key = next(iter(store.episodes))
    revision = store.save(key, Marking(TASK, STAGES[:1]), store.load(key)[1]).revision  # makes the folder
    (tmp_path / "labels").rename(tmp_path / "unplugged")
    with pytest.raises(FileNotFoundError, match="the folder is not there"):
        store.save(key, FINISHED, revision)
    (tmp_path / "unplugged").rename(tmp_path / "labels")
    assert store.save(key, FINISHED, revision).missing is None


def test_the_only_video_must_be_readable_and_ids_are_looked_up(tmp_path, store):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="cannot be decoded"):
        Store.open([tmp_path / "broken.mp4"], TASK)
    for key in ("../../etc/passwd", None, 7, ["a"], "x" * 5000):
        with pytest.raises(ValueError, match="there is no episode"):
            store.episode(key)
