import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate import editing
from dataset import Stage

TWO = (Stage("reach", 0, 10), Stage("lift", 10, 30))


def test_marking_appends_and_splits():
    stages = editing.mark_end((), 10, "reach", 40)
    stages = editing.mark_end(stages, 30, " lift ", 40)
    assert stages == TWO
    split = editing.mark_end(stages, 20, "close", 40)
    assert split == (TWO[0], Stage("close", 10, 20), Stage("lift", 20, 30))


def test_delete_excludes():
    assert editing.mark_end((), 5, "/delete", 40) == (Stage("", 0, 5, excluded=True),)
    assert editing.rename(TWO, 1, "/delete")[1] == Stage("", 10, 30, excluded=True)


def test_moving_keeps_stages_contiguous_and_not_empty():
    assert editing.move_boundary(TWO, 0, 12, 40) == (Stage("reach", 0, 12), Stage("lift", 12, 30))
    assert editing.move_boundary(TWO, 1, 40, 40)[1].end == 40
    for number, end in ((0, 0), (0, 30), (1, 10), (1, 41)):
        with pytest.raises(ValueError, match="choose a frame from"):
            editing.move_boundary(TWO, number, end, 40)


def test_removing_joins_with_the_next():
    assert editing.remove_boundary(TWO, 0) == (Stage("lift", 0, 30),)
    assert editing.remove_boundary(TWO, 1) == TWO[:1]


def test_excluding_and_renaming():
    assert editing.exclude(TWO, 0, True)[0].excluded
    assert editing.rename(TWO, 0, " grasp ")[0].subtask == "grasp"
    nameless = (Stage("", 0, 5, excluded=True),)
    with pytest.raises(ValueError, match="stage 1 has no text"):
        editing.exclude(nameless, 0, False)
    assert editing.rename(nameless, 0, "wait") == (Stage("wait", 0, 5, excluded=True),)


def test_what_cannot_be_done_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r'stage 1 "reach" already ends at frame 9'):
        editing.mark_end(TWO, 10, "x", 40)
    with pytest.raises(ValueError, match="the video has frames 0 to 39"):
        editing.mark_end(TWO, 41, "x", 40)
    with pytest.raises(ValueError, match="there is no stage 3; 2 are marked"):
        editing.rename(TWO, 2, "x")


def test_a_failed_attempt_falls_back():
    seen = []
    stages = TWO
    for _ in range(3):
        stages = editing.fall_back(stages, 1)
        seen.append(stages[1].falls_back_to)
    assert seen == [2, 1, None]
    once = editing.fall_back(TWO, 1)
    assert editing.mark_end(once, 5, "look", 40)[2].falls_back_to == 3  # its own number moved
    assert editing.remove_boundary(once, 0)[0].falls_back_to == 1
    with pytest.raises(ValueError, match="stage 1 is left out"):
        editing.fall_back(editing.exclude(TWO, 0, True), 0)


def test_rescaling_to_another_video():
    assert [stage.end for stage in editing.rescale(TWO, 40, 80)] == [20, 60]
    assert [stage.end for stage in editing.rescale(TWO, 1000, 2)] == [1, 2]
    with pytest.raises(ValueError, match="2 stages do not fit into 1 frames"):
        editing.rescale(TWO, 40, 1)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["mark", "move", "remove"]), st.integers(0, 41), st.integers(0, 9)), max_size=30)
)
def test_stages_stay_contiguous_from_frame_0(edits):
    stages: editing.Stages = ()
    for what, frame, number in edits:
        try:
            if what == "mark":
                stages = editing.mark_end(stages, frame, "x", 40)
            elif what == "move":
                stages = editing.move_boundary(stages, number, frame, 40)
            else:
                stages = editing.remove_boundary(stages, number)
        except ValueError:
            continue
        starts = [0, *(stage.end for stage in stages[:-1])]
        assert [stage.start for stage in stages] == starts[: len(stages)]
        assert all(stage.start < stage.end <= 40 for stage in stages)
