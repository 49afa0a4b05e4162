import json

import numpy as np
import pytest

from annotate.background import BackgroundScanner
from annotate.frame_cache import FrameCache
from annotate.server_functions import curve_corners, make_server_functions


@pytest.fixture
def calls(store):
    return {call.__name__: call for call in make_server_functions(store, BackgroundScanner(store, FrameCache(store)))}


def test_opening_gives_all_the_page_needs(calls, store):
    reply = calls["open_episode"]({"id": None})
    assert json.loads(json.dumps(reply)) == reply
    first = next(iter(store.episodes))
    assert (reply["ok"], reply["id"], reply["name"], reply["num_frames"]) == (True, first, "a", 40)
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
    assert saved["curve"] == [(0, 0.0), (10, 37.5), (30, 100.0), (39, 100.0)]  # corners only
    assert saved["row"] == {"id": key, "name": "a", "status": "labelled"}
    assert "queue" not in saved  # one episode was saved: nothing is asked of the others
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
    assert (reply["ok"], reply["name"]) == (False, "b")
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


def test_a_curve_is_sent_as_its_corners():
    curve = np.array([np.nan, np.nan, 0.0, 10.0, 20.0, 30.0, 25.0, 20.0, np.nan, np.nan, 5.0])
    corners = curve_corners(curve)
    assert corners == [(0, None), (2, 0.0), (5, 30.0), (7, 20.0), (8, None), (10, 5.0)]
    assert len(curve_corners(np.linspace(0, 100, 100_000))) == 2


def test_an_edit_finds_the_stage_at_its_turn(calls, store):
    key = next(iter(store.episodes))
    stages = [row("reach", 0, 10), row("lift", 10, 30)]
    request = {"id": key, "stages": stages, "at_frame": 12}
    moved = calls["edit_stages"](request | {"op": "nudge_boundary", "frames": -2})
    assert (moved["number"], moved["stages"][1]["end"]) == (1, 28)
    left_out = calls["edit_stages"](request | {"op": "toggle_excluded"})["stages"]
    assert [stage["excluded"] for stage in left_out] == [False, True]
    beyond = calls["edit_stages"](request | {"op": "remove_boundary", "at_frame": 39})
    assert [stage["subtask"] for stage in beyond["stages"]] == ["reach"]
    assert (
        "no stage is marked yet"
        in calls["edit_stages"]({"id": key, "stages": [], "at_frame": 0, "op": "toggle_excluded"})["error"]
    )


def row(subtask, start, end):
    return {"subtask": subtask, "start": start, "end": end, "excluded": False, "falls_back_to": None, "extra": {}}


def test_an_unfinished_marking_names_the_annotation_that_it_leaves(calls, store):
    opened = calls["open_episode"]({"id": None})
    marking = opened["marking"] | {"success": True, "stages": [row("reach", 0, 10)]}
    request = {"id": opened["id"], "marking": marking, "revision": opened["revision"]}
    saved = calls["save_episode"](request)
    emptied = request | {"marking": marking | {"stages": []}, "revision": saved["revision"]}
    messages = [finding["message"] for finding in calls["save_episode"](emptied)["findings"]]
    assert any(message.startswith("a.json still holds what was finished before") for message in messages)
    preview = calls["show_samples"]({"id": opened["id"], "recipe": "recipes/nano.yaml"})
    assert any("a.json still holds" in finding["message"] for finding in preview["findings"])
