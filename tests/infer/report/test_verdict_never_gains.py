"""A verdict never gets better when a figure becomes undefined, when an episode is renamed, duplicated or moved, or when
a held-out failure is read worse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from material import make_annotation
from report_material import make_answers, make_result

from dataset.annotation import Camera
from dataset.demonstration import Demonstration, refuse_repeated_recordings, with_unique_names
from infer.report.evidence import EpisodeFigures, Evidence, gather_evidence
from infer.report.rules import ADOPT, MORE, REJECT
from infer.report.shortcut_scores import score_shortcuts
from infer.report.summary import score_all_shortcuts
from infer.report.verdict import decide

RANK = {REJECT: 0, MORE: 1, ADOPT: 2}
FALLS = [np.array([100.0, 70.0, 50.0, 0.0])] * 3
PASSED = score_shortcuts([make_answers()] * 3, FALLS, 50.0)
SHORTCUTS = st.sampled_from([
    PASSED, PASSED, [], score_shortcuts([make_answers()] * 3, [row[::-1] for row in FALLS], 50.0),
    score_shortcuts([make_answers(changed={"frozen": np.array([40.0, 80.0, 90.0, 99.0])})] * 3, FALLS, 50.0),
])  # fmt: skip


def near(*limits: float, low: float, high: float) -> st.SearchStrategy:
    """Numbers in a range, many of them close to a limit of the rules."""
    close = st.tuples(st.sampled_from([*limits, low, high]), st.floats(-0.05, 0.05)).map(
        lambda pair: min(max(pair[0] + pair[1] * (high - low), low), high)
    )
    return close | st.floats(low, high)


def or_undefined(numbers: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(numbers, numbers, numbers, st.none())


LIMITS = {
    "order": near(0.5, 0.8, low=-1.0, high=1.0),
    "error": near(15.0, 25.0, low=0.0, high=100.0),
    "end": near(95.0, low=0.0, high=100.0),
    "parse_rate": near(0.9, low=0.0, high=1.0),
}

EPISODES = st.lists(
    st.builds(
        EpisodeFigures,
        name=st.just("episode"),
        success=st.booleans(),
        **{figure: or_undefined(numbers) for figure, numbers in LIMITS.items()},
        constant_error=st.floats(0.0, 50.0),
        base_order=or_undefined(near(0.5, low=-1.0, high=1.0)),
    ),
    min_size=1,
    max_size=7,
).map(lambda episodes: tuple(replace(episode, name=f"e{n}") for n, episode in enumerate(episodes)))
EVIDENCE = st.builds(Evidence, model=st.just("adapter"), episodes=EPISODES, shortcuts=SHORTCUTS)


def good(success: bool) -> EpisodeFigures:
    return EpisodeFigures("good", success, 0.9, 5.0, 98.0 if success else 40.0, 1.0, 30.0, 0.1)


@st.composite
def one_weakness(draw) -> Evidence:
    """Draw evidence that is good in all but one kind of figure, which then decides. Random figures are seldom good."""
    figure = draw(st.sampled_from(list(LIMITS)))
    episodes = [good(True)] * 3 + [good(False)] * draw(st.integers(1, 2))
    episodes = [replace(e, name=f"e{n}", **{figure: draw(LIMITS[figure])}) for n, e in enumerate(episodes)]
    return Evidence("adapter", tuple(episodes), draw(SHORTCUTS))


ANY = EVIDENCE | one_weakness()


def rank(evidence: Evidence) -> int:
    return RANK[decide(evidence).outcome]


def changed(evidence: Evidence, place: int, **figures) -> Evidence:
    episodes = list(evidence.episodes)
    place %= len(episodes)
    episodes[place] = replace(episodes[place], **figures)
    return replace(evidence, episodes=tuple(episodes))


@settings(max_examples=250, deadline=None)
@given(ANY, st.integers(0, 7), st.sampled_from(["order", "error", "end", "parse_rate"]))
def test_when_a_figure_becomes_undefined(evidence, place, figure):
    assert rank(changed(evidence, place, **{figure: None})) <= rank(evidence)
    assert rank(changed(evidence, place, unanswered=1)) <= rank(evidence)


@settings(max_examples=200, deadline=None)
@given(ANY, st.integers(0, 7), st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_when_a_held_out_failure_is_read_worse(evidence, place, higher, further):
    if not evidence.failures:
        return
    place = [n for n, episode in enumerate(evidence.episodes) if not episode.success][place % len(evidence.failures)]
    episode = evidence.episodes[place]
    worse = {
        "end": None if episode.end is None else min(100.0, episode.end + higher),
        "error": None if episode.error is None else min(100.0, episode.error + further),
    }
    assert rank(changed(evidence, place, **worse)) <= rank(evidence)


@settings(max_examples=100, deadline=None)
@given(ANY, st.randoms(use_true_random=False), st.sampled_from(["", "same", "day/"]))
def test_names_and_the_order_of_episodes_change_nothing(evidence, random, prefix):
    episodes = list(evidence.episodes)
    random.shuffle(episodes)
    renamed = [replace(e, name="same" if prefix == "same" else f"{prefix}{e.name}") for e in episodes]
    assert rank(replace(evidence, episodes=tuple(renamed))) == rank(evidence)


VALUES = st.lists(st.sampled_from([0.0, 20.0, 40.0, 60.0, 100.0]), min_size=4, max_size=4)
MOVED = st.tuples(st.integers(0, 3), st.sampled_from([0.0, 40.0, 70.0, 100.0]))


@settings(max_examples=60, deadline=None)
@given(st.lists(MOVED, min_size=3, max_size=3), st.integers(0, 2), st.booleans())
def test_when_an_answer_to_a_changed_window_is_missing(moved, episode, in_plain):
    """One changed window of each episode has another value; this value or that of the unchanged window gets lost."""

    def outcome(missing: bool) -> int:
        answers = []
        for number, (window, value) in enumerate(moved):
            plain, frozen = make_answers().plain.copy(), make_answers().plain.copy()
            frozen[window] = value
            if missing and number == episode:
                (plain if in_plain else frozen)[window] = np.nan
            answers.append(make_answers(plain=plain, changed={"frozen": frozen}))
        scored = [one if one.shortcut.name == "frozen" else passed for one, passed in zip(
            score_shortcuts(answers, FALLS, 50.0), PASSED, strict=True
        )]  # fmt: skip
        return rank(Evidence("adapter", (*[good(True)] * 3, good(False)), scored))

    assert outcome(missing=True) <= outcome(missing=False)


@pytest.mark.parametrize("success", [True, False])
@settings(max_examples=12, deadline=None)
@given(values=VALUES, missing=st.sets(st.integers(0, 3), min_size=1))
def test_when_an_episode_loses_values_its_error_does_not_fall(video, success, values, missing):
    whole = make_result(video, {"base": [50.0] * 4, "adapter": values}, success)
    lost = make_result(
        video, {"base": [50.0] * 4, "adapter": [np.nan if n in missing else v for n, v in enumerate(values)]}, success
    )
    before, after = (gather_evidence([result], []).episodes[0] for result in (whole, lost))
    assert after.undefined and (after.error is None or after.error >= before.error)


@settings(max_examples=4, deadline=None)
@given(folders=st.lists(st.sampled_from(["a", "b", "c/d"]), min_size=4, max_size=4), seen=st.integers(0, 3))
def test_when_files_are_moved_and_renamed(video, folders, seen):
    """The paths of annotations and videos are in no figure; names tell episodes apart wherever they are."""
    rows = [([0.0, 40.0, 70.0, 100.0], True)] * 3 + [([0.0, 40.0, 70.0, 100.0], False)]
    results = [
        make_result(
            video, {"base": [50.0] * 4, "adapter": row}, success, f"e{n}", shortcuts=make_answers(success=success)
        )
        for n, (row, success) in enumerate(rows)
    ]
    paths = [f"{folder}/{n if n == seen else 'x'}{n}/ep0.json" for n, folder in enumerate(folders)]
    named = with_unique_names([replace(r.demonstration, path=path) for r, path in zip(results, paths, strict=True)])
    moved = [replace(r, demonstration=d) for r, d in zip(results, named, strict=True)]
    before, after = (decide(gather_evidence(rows, score_all_shortcuts(rows))) for rows in (results, moved))
    assert after.outcome == before.outcome == MORE
    assert [finding.rule for finding in after.findings] == [finding.rule for finding in before.findings]


@settings(max_examples=100, deadline=None)
@given(
    views=st.lists(st.lists(st.integers(0, 9), max_size=2), min_size=1, max_size=5), copied=st.integers(0, 4),
    wrist=st.booleans(),
)  # fmt: skip
def test_when_an_episode_is_duplicated_the_report_is_refused(video, views, copied, wrist):
    """Also where the copy is the other camera's view of the episode, under another name and with other stages."""
    demonstrations = [
        Demonstration(
            f"ep{n}.json",
            replace(
                make_annotation(video, 10, 30),
                fingerprint=f"v2:{n}:main",
                cameras=tuple(Camera(f"c{k}", "c.mp4", f"v2:{n}:{k}") for k in range(len(cameras))),
            ),
        )
        for n, cameras in enumerate(views)
    ]
    refuse_repeated_recordings(demonstrations)
    original = demonstrations[copied % len(demonstrations)].annotation
    shared = original.cameras[0].fingerprint if wrist and original.cameras else original.fingerprint
    copy = Demonstration("other/copy.json", replace(make_annotation(video, 5, 20, success=False, final_progress=50.0),
                                                    fingerprint=shared))  # fmt: skip
    with pytest.raises(ValueError, match=r"other/copy\.json and ep\d\.json are of one recording"):
        refuse_repeated_recordings([*demonstrations, copy])
