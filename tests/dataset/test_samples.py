import hashlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import DEMO, ROOT, TASK, make_annotation, write_video

from dataset.annotation import Annotation, Stage
from dataset.annotation_file import write_annotation
from dataset.demonstration import Demonstration, read_demonstration, read_demonstrations
from dataset.labels import label_curve
from dataset.prompts import build_prompt, parse_answer
from dataset.sample_file import VqaSample, from_dataset, meta_path, read_samples, to_dataset, write_samples
from dataset.samples import SamplingSpec, build_sample_set, build_samples, demonstration_curve
from dataset.similarity import frame_similarity
from dataset.video import VideoReader
from dataset.window import WindowSpec, window_indices

WINDOW = WindowSpec(size=4, stride=3)


@pytest.fixture
def demonstration(video) -> Demonstration:
    return Demonstration("data/demo.json", make_annotation(video, 10, 30, reason="it is in the bin"), str(video))


def test_every_frame_and_the_finished_tail(demonstration):
    samples = build_samples(demonstration, WINDOW, SamplingSpec(finished_frames=5, finished_repeats=3))
    assert [s.frame_index for s in samples[:30]] == list(range(30))
    finished = samples[30:]
    assert len(finished) == 15
    assert {s.frame_index for s in finished} == {30, 32, 34, 37, 39}  # five spread over frames 30 to 39
    assert all(s.progress == 100.0 and "Reason: it is in the bin" in s.completion for s in finished)


def test_prompt_answer_and_label_agree(demonstration):
    curve = label_curve(demonstration.annotation)
    for sample in build_samples(demonstration, WINDOW, SamplingSpec(reversed_share=0.5, single_frame_share=0.5)):
        assert sample.prompt == build_prompt(TASK)
        assert sample.progress == curve[sample.frame_index]
        assert parse_answer(sample.completion).progress == pytest.approx(sample.progress, abs=0.01)
        assert sample.episode == "demo"


def test_windows_come_from_the_one_function(demonstration):
    for sample in build_samples(demonstration, WINDOW, SamplingSpec()):
        assert sample.window_frame_indices == window_indices(WINDOW, sample.frame_index, 25.0)


def test_windows_of_a_video_of_varying_rate_go_by_time(tmp_path):
    times = [*range(0, 800, 80), *range(800, 2000, 40)]  # milliseconds: 12.5 frames per second, then 25
    video = write_video(tmp_path / "v.mp4", len(times), times=times)
    write_annotation(tmp_path / "v.json", make_annotation(video, 20, 35))
    reader = VideoReader(video)
    assert reader.timing is reader.timestamps_sec
    demonstration = read_demonstration(tmp_path / "v.json")
    window = WindowSpec(size=4, rate_hz=6.25)
    samples = build_samples(demonstration, window, SamplingSpec(reversed_share=1.0))
    by_frame = {(s.frame_index, s.direction): s.window_frame_indices for s in samples}
    assert by_frame[9, "forward"] == (3, 5, 7, 9)
    assert by_frame[30, "forward"] == (18, 22, 26, 30)
    assert by_frame[9, "reversed"] == (20, 16, 12, 9)  # 1.2, 1.04, 0.88 and 0.72 s
    for (t, direction), indices in by_frame.items():
        if direction == "forward":
            assert indices == window_indices(window, t, reader.timestamps_sec)


@pytest.mark.parametrize(("name", "fps"), [("v.mp4", 25), ("v.mkv", 30), ("v.mkv", 24), ("v.gif", 30)])
def test_windows_of_a_video_of_a_constant_rate_count_frames(tmp_path, name, fps):
    codec = "gif" if name == "v.gif" else "libx264"
    video = write_video(tmp_path / name, 60, codec, fps=fps)
    write_annotation(tmp_path / "v.json", make_annotation(video, 20, 50))
    demonstration = read_demonstration(tmp_path / "v.json")
    assert VideoReader(video).timing == demonstration.timing == VideoReader(video).fps


def test_a_window_of_one_frame_has_no_samples_that_change_earlier_frames(demonstration):
    shares = SamplingSpec(held_share=1.0, rewind_share=1.0, speed_share=1.0, reversed_share=1.0, single_frame_share=1.0)
    samples = build_samples(demonstration, WindowSpec(size=1, stride=1), shares)
    assert {sample.direction for sample in samples} == {"forward", "single"}


def test_reversed_samples_show_later_frames_and_keep_the_label(demonstration):
    samples = build_samples(demonstration, WINDOW, SamplingSpec(reversed_share=1.0))
    backwards = [s for s in samples if s.direction == "reversed"]
    assert len(backwards) == len(samples) // 2
    sample = next(s for s in backwards if s.frame_index == 12)
    assert sample.window_frame_indices == (21, 18, 15, 12)
    assert sample.completion == next(s for s in samples if s.frame_index == 12).completion


def test_the_same_seed_gives_the_same_samples(demonstration):
    spec = SamplingSpec(reversed_share=0.5, single_frame_share=0.3, seed=3)
    assert build_samples(demonstration, WINDOW, spec) == build_samples(demonstration, WINDOW, spec)
    assert build_samples(demonstration, WINDOW, spec) != build_samples(demonstration, WINDOW, replace(spec, seed=4))


def test_windows_never_span_an_excluded_stage(video):
    annotation = replace(
        make_annotation(video, 40),
        stages=(Stage("a", 0, 12), Stage("", 12, 20, excluded=True), Stage("b", 20, 36)),
    )
    samples = build_samples(
        Demonstration("d.json", annotation, str(video)),
        WINDOW,
        SamplingSpec(reversed_share=1.0, single_frame_share=1.0),
    )
    assert {s.frame_index for s in samples} & set(range(12, 20)) == set()
    for sample in samples:
        sides = {index < 12 for index in sample.window_frame_indices}
        assert len(sides) == 1 and not set(sample.window_frame_indices) & set(range(12, 20))


def test_the_tail_of_a_failure_is_not_taught_as_done(video):
    annotation = make_annotation(video, 10, 30, success=False, final_progress=60.0)
    tail = build_samples(Demonstration("d.json", annotation, str(video)), WINDOW, SamplingSpec())[-1]
    assert tail.progress == 60.0
    assert parse_answer(tail.completion).remaining == ("step 2",)


@pytest.mark.parametrize("name", ["samples.jsonl", "samples.parquet"])
def test_samples_survive_the_file_and_are_replaced(demonstration, tmp_path, name):
    samples = build_samples(demonstration, WINDOW, SamplingSpec(reversed_share=0.5))
    path = tmp_path / name
    for _ in range(2):  # a second time replaces, it does not append
        write_samples(path, to_dataset(samples), WINDOW, [demonstration])
    assert from_dataset(read_samples(path)) == samples
    description = json.loads(meta_path(path).read_text())
    assert WindowSpec(**description["window"]) == WINDOW and description["num_samples"] == len(samples)
    assert description["demonstrations"][0]["fingerprint"] == VideoReader(demonstration.video).fingerprint
    assert description["demonstrations"][0]["task"] == TASK
    assert {file.name for file in tmp_path.iterdir()} == {name, f"{name}.meta.json"}


def test_line_separators_in_a_task_end_no_line(demonstration, tmp_path):
    task = "put\u2028the\u2029red\u0085block"
    named = replace(demonstration, annotation=replace(demonstration.annotation, task=task))
    samples = build_samples(named, WINDOW, SamplingSpec())
    write_samples(tmp_path / "s.jsonl", to_dataset(samples), WINDOW, [named])
    assert from_dataset(read_samples(tmp_path / "s.jsonl")) == samples
    lines = (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()  # as other programs read it
    assert [json.loads(line)["prompt"] for line in lines] == [build_prompt(task)] * len(samples)


def test_other_endings_are_refused_and_no_two_files_share_what_stands_beside_them(demonstration, tmp_path):
    rows = to_dataset(build_samples(demonstration, WINDOW, SamplingSpec()))
    with pytest.raises(ValueError, match=r"s\.csv: the name must end in \.jsonl or \.parquet"):
        write_samples(tmp_path / "s.csv", rows, WINDOW, [demonstration])
    assert meta_path("a/s.jsonl") != meta_path("a/s.parquet")


def test_lines_of_the_file_are_the_samples_to_the_last_digit(demonstration, tmp_path):
    samples = build_samples(demonstration, WINDOW, SamplingSpec())
    write_samples(tmp_path / "s.jsonl", to_dataset(samples), WINDOW, [demonstration])
    lines = (tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines == [json.dumps(asdict(sample), ensure_ascii=False) for sample in samples]


def test_a_damaged_file_is_refused_with_its_name(demonstration, tmp_path):
    for name, damage in (("samples.jsonl", b'{"video": "v.mp4", "epi'), ("samples.parquet", b"PAR1 cut")):
        (tmp_path / name).write_bytes(damage)
        with pytest.raises(ValueError, match=rf"{name}: damaged .*python -m dataset"):
            read_samples(tmp_path / name)
    with pytest.raises(ValueError, match=r"no such file; make it with `python -m dataset`"):
        read_samples(tmp_path / "nothing.jsonl")


def test_a_row_that_is_no_sample_is_named(demonstration):
    rows = to_dataset(build_samples(demonstration, WINDOW, SamplingSpec()))
    broken = [{**row, "frame_index": 39 if place == 2 else row["frame_index"]} for place, row in enumerate(rows)]
    with pytest.raises(ValueError, match=r"row 3 is no sample: the window .* does not end at the current frame 39"):
        from_dataset(broken)


def test_no_earlier_samples_come_back_and_no_cache_is_left(demonstration, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for seed in (0, 1, 0):
        samples = build_samples(demonstration, WINDOW, SamplingSpec(reversed_share=0.5, seed=seed))
        assert from_dataset(to_dataset(samples)) == samples
    assert not (tmp_path / "cache").exists()
    assert datasets.is_progress_bar_enabled()


def test_a_window_ends_at_its_frame():
    with pytest.raises(ValueError, match="does not end at the current frame 5"):
        VqaSample("v", "e", 5, (1, 2, 3), "p", "c", 0.0)


NEGATIVES = SamplingSpec(
    held_share=1.0, rewind_share=1.0, speed_share=1.0, wrong_task_share=1.0, wrong_tasks=("Open the drawer",)
)


def test_windows_made_up_from_the_recording_keep_the_label_of_their_last_frame(demonstration):
    samples = build_samples(demonstration, WINDOW, NEGATIVES)
    assert set(Counter(s.direction for s in samples).values()) == {60}  # 30 frames and 10 finished ones, three times
    recorded = {s.frame_index: s for s in samples if s.direction == "forward"}
    for sample in samples:
        if sample.direction != "wrong_task":
            assert sample.completion == recorded[sample.frame_index].completion
            assert sample.progress == recorded[sample.frame_index].progress
        steps = np.diff(sample.window_frame_indices)
        if sample.direction == "held":
            assert steps[-1] == 0 and (steps >= 0).all()
        if sample.direction == "rewind" and 15 < sample.frame_index < 25:
            assert steps[-1] < 0


def test_a_wrong_task_is_answered_with_nothing_visible(demonstration):
    sample = next(s for s in build_samples(demonstration, WINDOW, NEGATIVES) if s.direction == "wrong_task")
    assert sample.prompt == build_prompt("Open the drawer")
    assert sample.progress == 0.0
    assert sample.completion == (
        "Nothing of this task is visible.\nTherefore, the estimated progress is <progress>0.00%</progress>."
    )
    answer = parse_answer(sample.completion)
    assert (answer.progress, answer.remaining, answer.reasoning) == (0.0, (), "Nothing of this task is visible.")


def test_wrong_tasks_come_from_the_other_demonstrations(demonstration):
    sampling = SamplingSpec(every=3, wrong_task_share=1.0)
    with pytest.raises(
        ValueError, match=r"data/demo\.json has the only task; name others in data\.sampling\.wrong_tasks"
    ):
        build_sample_set([demonstration], WINDOW, sampling)
    other = replace(
        demonstration,
        path="other.json",
        name="other",
        annotation=replace(demonstration.annotation, task="Close the lid"),
    )
    samples = build_sample_set([demonstration, other], WINDOW, sampling)
    asked = {(s.episode, s.prompt) for s in samples if s.direction == "wrong_task"}
    assert asked == {("demo", build_prompt("Close the lid")), ("other", build_prompt(TASK))}


def test_asking_for_more_kinds_leaves_the_others_as_they_were(demonstration):
    plain = SamplingSpec(reversed_share=0.5, single_frame_share=0.3)
    more = replace(NEGATIVES, reversed_share=0.5, single_frame_share=0.3)
    kinds = ("forward", "reversed", "single")
    assert [s for s in build_samples(demonstration, WINDOW, more) if s.direction in kinds] == build_samples(
        demonstration, WINDOW, plain
    )


def test_visual_labels_reach_the_samples(demonstration):
    curve = demonstration_curve(demonstration, "visual")
    np.testing.assert_array_equal(
        curve, label_curve(demonstration.annotation, "visual", frame_similarity(VideoReader(demonstration.video)))
    )
    samples = build_sample_set([demonstration], WINDOW, SamplingSpec(), "visual")
    assert [s.progress for s in samples] == [curve[s.frame_index] for s in samples]
    assert samples[29].frame_index == 29 and samples[29].completion.startswith("Image shows the final result.")


def test_a_recipe_without_the_new_options_gives_the_samples_it_always_gave():
    """Results are compared over time: a further option must not change what a recipe without it gives."""
    sampling = SamplingSpec(reversed_share=0.5, single_frame_share=0.3, seed=0)
    demonstrations = read_demonstrations([DEMO / "demo.json"])
    samples = build_sample_set(demonstrations, WindowSpec(8, rate_hz=6.25), sampling)
    rows = [[*s.window_frame_indices, s.prompt, s.completion, s.direction] for s in samples]
    assert len(samples) == 182
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16] == "dd9527c5d5c8cce5"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"every": 0}, "every is 0; it must be at least 1"),
        ({"finished_frames": -1}, "finished_frames is -1; it must not be negative"),
        ({"held_share": 1.5}, r"held_share is 1\.5; it is a share"),
    ],
)
def test_impossible_sampling_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SamplingSpec(**fields)


SHARES = st.sampled_from([0.0, 0.5, 1.0])


@given(
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=6),
    excluded=st.sets(st.integers(0, 5)),
    tail=st.integers(0, 6),
    size=st.integers(1, 6),
    rate_hz=st.floats(1, 30),
    shares=st.tuples(SHARES, SHARES, SHARES, SHARES, SHARES),
)
def test_no_sample_of_any_kind_crosses_a_cut(lengths, excluded, tail, size, rate_hz, shares):
    ends = np.cumsum(lengths).tolist()
    stages = tuple(
        Stage(f"s{k}", end - n, end, excluded=k in excluded and k > 0)
        for k, (n, end) in enumerate(zip(lengths, ends, strict=True))
    )
    annotation = Annotation("v.mp4", "x", ends[-1] + tail, 25.0, TASK, stages, success=True)
    names = ("single_frame_share", "reversed_share", "held_share", "rewind_share", "speed_share")
    sampling = SamplingSpec(**dict(zip(names, shares, strict=True)))
    samples = build_samples(Demonstration("d.json", annotation, "v.mp4"), WindowSpec(size, rate_hz=rate_hz), sampling)
    cut = {t for stage in stages if stage.excluded for t in range(stage.start, stage.end)}
    assert samples
    for sample in samples:
        shown = set(range(min(sample.window_frame_indices), max(sample.window_frame_indices) + 1))
        assert not shown & cut
        assert 0.0 <= sample.progress <= 100.0


def test_the_trainer_gets_one_row_per_sample(demonstration):
    samples = build_samples(demonstration, WINDOW, SamplingSpec(every=5))
    rows = to_dataset(samples)
    assert rows.num_rows == len(samples)
    row = rows[3]
    assert {**row, "window_frame_indices": tuple(row["window_frame_indices"])} == asdict(samples[3])


def test_checking_needs_no_data_set_library():
    code = "import sys, dataset.__main__; assert not {'datasets', 'pandas', 'torch'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
