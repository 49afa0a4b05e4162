import json

import pytest

from annotate.background import BackgroundScanner
from annotate.frame_cache import FrameCache
from annotate.server_functions import make_server_functions


@pytest.fixture
def calls(store):
    return {call.__name__: call for call in make_server_functions(store, BackgroundScanner(store, FrameCache(store)))}


def test_opening_gives_all_the_page_needs(calls, store):
    reply = calls["open_episode"]({"id": None})
    assert json.loads(json.dumps(reply)) == reply
    first = next(iter(store.episodes))
    assert (reply["ok"], reply["id"], reply["name"], reply["num_frames"]) == (True, first, "a.mp4", 40)
    assert reply["timestamps_sec"][:3] == [0.0, 0.04, 0.08]
    assert [row["status"] for row in reply["queue"]] == ["new", "new"]
    assert [finding["about"] for finding in reply["findings"]] == ["stages", "outcome"]
    assert reply["curve"] is None


def test_edit_and_save_go_together(calls, store):
    opened = calls["open_episode"]({"id": None})
    key, marking = opened["id"], opened["marking"]
    for end, text in ((10, "reach"), (30, "lift")):
        request = {"id": key, "op": "mark_end", "end": end, "text": text, "stages": marking["stages"]}
        marking["stages"] = calls["edit_stages"](request)["stages"]
    request = {"id": key, "marking": marking | {"success": True}, "revision": opened["revision"]}
    saved = calls["save_episode"](request | {"version": opened["version"]})
    assert saved["ok"]
    assert (saved["curve"][0], saved["curve"][39]) == (0.0, 100.0)
    assert saved["queue"][0]["status"] == "labelled"
    conflict = calls["save_episode"](request | {"marking": marking | {"task": "Another"}, "version": opened["version"]})
    assert (conflict["ok"], conflict["conflict"]) == (False, True)
    replaced = calls["save_episode"](request | {"version": "0" * 16})
    assert (replaced["ok"], replaced["replaced"]) == (False, True)
    preview = calls["show_samples"]({"id": key, "recipe": "recipes/nano.yaml"})
    assert preview["samples"][0]["frame_index"] == 0


def test_refusals_are_replies(calls, store):
    first = next(iter(store.episodes))
    for name in calls:
        for key in ("../../etc/passwd", None, 7, {"a": 1}):
            if name != "open_episode":
                assert "there is no episode" in calls[name]({"id": key})["error"]
    assert "reload the page" in calls["edit_stages"]({"id": first, "op": "format_disk", "stages": []})["error"]
    assert "mark one first" in calls["edit_stages"]({"id": first, "op": "copy_earlier", "stages": []})["error"]
    assert "the request holds no file" in calls["read_predictions"]({"id": first})["error"]
    assert "holds no predictions" in calls["read_predictions"]({"id": first, "text": "", "name": "p"})["error"]


def test_a_broken_video_is_the_error_of_its_episode(calls, store, tmp_path):
    (tmp_path / "b.mp4").write_bytes(b"no video")
    reply = calls["open_episode"]({"id": list(store.episodes)[1]})
    assert (reply["ok"], reply["name"]) == (False, "b.mp4")
    assert "cannot be decoded" in reply["error"]
    assert len(reply["queue"]) == 2


def test_a_disk_that_refuses_is_named_in_plain_words(calls, store, monkeypatch):
    opened = calls["open_episode"]({"id": None})

    def refuse(*_):
        raise OSError(30, "Read-only file system", "/labels")

    monkeypatch.setattr("os.replace", refuse)
    request = {"id": opened["id"], "marking": opened["marking"] | {"task": "x"}, "revision": opened["revision"]}
    error = calls["save_episode"](request)["error"]
    assert "cannot be written or read (Read-only file system: /labels)" in error
