import pytest
from material import DEMO, NANO

import infer.predict
from dataset.annotation import read_annotation
from dataset.video import VideoReader
from dataset.window import WindowSpec
from infer.errors import ModelError
from infer.model import ProgressConfig, ProgressModel
from infer.predict import (
    EncodedVideo,
    choose_window,
    infer_progress_from_video,
    predict_video,
    sampled_frames,
)
from infer.records import read_records

WINDOW = WindowSpec(size=4, stride=2)


def test_sampled_frames():
    assert sampled_frames(5, None) == [0, 1, 2, 3, 4]
    assert sampled_frames(5, 512) == [0, 1, 2, 3, 4]
    assert sampled_frames(101, 3) == [0, 50, 100]
    assert sampled_frames(101, 1) == [100]
    assert sampled_frames(101, None, max_frames=2) == [0, 1]
    with pytest.raises(ValueError, match="max_sampled_frames is 0"):
        sampled_frames(5, 0)


@pytest.fixture
def answers(monkeypatch):
    """Replace the model's answers by given ones."""
    queue: list[str] = []

    def answer_windows(model, windows, prompt, max_new_tokens, temperature):
        return [queue.pop(0) for _ in windows]

    monkeypatch.setattr(infer.predict, "answer_windows", answer_windows)
    return queue


@pytest.fixture
def reader(video) -> VideoReader:
    return VideoReader(video)


def test_an_answer_without_a_percentage_is_null_not_invented(nano, reader, answers):
    answers += ["<progress>10%</progress>", "rubbish", "<progress>30%</progress>"]
    video = EncodedVideo(nano, reader)
    records = list(predict_video(nano, video, "t", WINDOW, [0, 5, 9]))
    assert [r.progress for r in records] == [10.0, None, 30.0]
    assert [r.progress_source for r in records] == ["model", None, "model"]
    assert records[1].model_output == "rubbish"


def test_carrying_forward_is_said(nano, reader, answers):
    answers += ["rubbish", "<progress>10%</progress>", "rubbish"]
    video = EncodedVideo(nano, reader)
    records = list(predict_video(nano, video, "t", WINDOW, [0, 5, 9], on_unparsed="previous"))
    assert [r.progress for r in records] == [None, 10.0, 10.0]
    assert [r.progress_source for r in records] == [None, "model", "previous"]
    assert records[2].parsed_progress is None


def test_reversed_playback_comes_in_its_own_order(nano, reader, answers):
    answers += ["<progress>1%</progress>"] * 3
    records = list(predict_video(nano, EncodedVideo(nano, reader), "t", WINDOW, [0, 5, 39], reverse=True))
    assert [r.frame_index for r in records] == [39, 5, 0]
    assert [r.window_frame_indices for r in records] == [(39, 39, 39, 39), (11, 9, 7, 5), (6, 4, 2, 0)]


def test_every_frame_is_encoded_once_and_memory_stays_bounded(nano, reader, answers, monkeypatch):
    answers += ["<progress>1%</progress>"] * 40
    encoded = []
    real = ProgressModel.encode_frames

    def counting(self, frames, *rest):
        encoded.extend(range(len(frames)))
        return real(self, frames, *rest)

    monkeypatch.setattr(ProgressModel, "encode_frames", counting)
    video = EncodedVideo(nano, reader)
    list(predict_video(nano, video, "t", WINDOW, list(range(40)), batch_size=8))
    assert len(encoded) == 40
    assert len(video._features) <= 8 + WINDOW.size * 2


def with_window(nano, window: WindowSpec) -> ProgressModel:
    return ProgressModel(
        nano.model, nano.tokenizer, nano.image_processor, "b", ProgressConfig(window, None, None, (), 1)
    )


def test_the_adapter_brings_its_window(nano):
    adapted = with_window(nano, WINDOW)
    assert choose_window(adapted) == WINDOW
    assert choose_window(adapted, window_size=4) == WINDOW
    with pytest.raises(ModelError, match="leave the window flags out, or add --force"):
        choose_window(adapted, window_size=8)
    assert choose_window(adapted, window_size=8, force=True) == WindowSpec(size=8, stride=2)
    assert choose_window(nano, window_size=5) == WindowSpec(size=5, rate_hz=6.25)
    assert choose_window(nano, window_stride=3) == WindowSpec(size=8, stride=3)


@pytest.mark.slow
def test_records_are_the_references_and_reach_the_file(tmp_path):
    path = tmp_path / "p.jsonl"
    task = read_annotation(DEMO / "demo.json").task
    records = infer_progress_from_video(
        str(NANO), str(DEMO / "demo.mp4"), task, window_size=8, output_path=str(path), max_sampled_frames=5
    )
    assert read_records(path) == records
    assert len(records) == 5
    assert {
        "frame_index", "timestamp_sec", "window_frame_indices", "progress", "reasoning", "model_output", "video_path",
        "task", "sample_index", "parsed_progress", "progress_source",
    } == records[0].keys()  # fmt: skip
    assert records[-1]["frame_index"] == 107
    assert records[-1]["timestamp_sec"] == pytest.approx(107 / 25)


def test_an_empty_task_is_refused(tmp_path):
    with pytest.raises(ValueError, match="task text is empty"):
        infer_progress_from_video(str(NANO), str(DEMO / "demo.mp4"), " ")
