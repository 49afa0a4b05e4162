from dataclasses import replace

import pytest
from material import TASK, make_annotation

from dataset.annotation import Stage
from dataset.progress import label_curve
from dataset.prompts import build_prompt, parse_answer
from dataset.samples import (
    Demonstration,
    SamplingSpec,
    VqaSample,
    build_samples,
    read_demonstrations,
    read_samples,
    write_samples,
)
from dataset.video import VideoError
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


def test_samples_survive_the_file_and_are_replaced(demonstration, tmp_path):
    samples = build_samples(demonstration, WINDOW, SamplingSpec())
    path = tmp_path / "samples.jsonl"
    for _ in range(2):  # a second time replaces, it does not append
        write_samples(path, samples, WINDOW, [demonstration])
    read, window, tasks = read_samples(path)
    assert (read, window, tasks) == (samples, WINDOW, (TASK,))


def test_a_damaged_line_is_named(demonstration, tmp_path):
    path = tmp_path / "samples.jsonl"
    write_samples(path, build_samples(demonstration, WINDOW, SamplingSpec()), WINDOW, [demonstration])
    lines = path.read_text().splitlines()
    lines[2] = lines[2][:50]
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="line 3"):
        read_samples(path)
    with pytest.raises(ValueError, match="python -m dataset"):
        read_samples(tmp_path / "nothing.jsonl")


def test_a_window_ends_at_its_frame():
    with pytest.raises(ValueError, match="does not end at the current frame 5"):
        VqaSample("v", "e", 5, (1, 2, 3), "p", "c", 0.0)


def test_another_video_of_the_same_name_is_refused(annotation_path):
    assert len(read_demonstrations([annotation_path])) == 1
    video = annotation_path.with_suffix(".mp4")
    video.write_bytes(video.read_bytes() + b"\0")
    with pytest.raises(VideoError, match="another file than was annotated"):
        read_demonstrations([annotation_path])
    video.unlink()
    with pytest.raises(VideoError, match="does not exist"):
        read_demonstrations([annotation_path])
    with pytest.raises(ValueError, match="no annotations"):
        read_demonstrations([])
