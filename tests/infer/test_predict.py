import re

import pytest
import torch
from material import DEMO, NANO, write_video
from PIL import Image

import infer.decoding.answer_order
from dataset.annotation_file import read_annotation
from dataset.video import VideoReader
from dataset.window import WindowSpec, window_indices
from infer.decoding.settings import Decoding
from infer.decoding.window_answer import written_answer
from infer.model.encoded_video import EncodedVideo
from infer.model.errors import ModelError
from infer.model.model import ProgressConfig, ProgressModel
from infer.playback import predict_video
from infer.predict import OPTIONS, infer_progress_from_video
from infer.records import carry_forward, read_records
from infer.request import FrameChoice, WindowRequest, choose_window

WINDOW = WindowSpec(size=4, stride=2)


def test_sampled_frames():
    assert FrameChoice(max_sampled_frames=None).frames(5) == [0, 1, 2, 3, 4]
    assert FrameChoice(max_sampled_frames=512).frames(5) == [0, 1, 2, 3, 4]
    assert FrameChoice(max_sampled_frames=3).frames(101) == [0, 50, 100]
    assert FrameChoice(max_sampled_frames=1).frames(101) == [100]
    assert FrameChoice(max_frames=2, max_sampled_frames=None).frames(101) == [0, 1]
    with pytest.raises(ValueError, match="max_sampled_frames is 0"):
        FrameChoice(max_sampled_frames=0)
    with pytest.raises(ValueError, match="max_frames is 0"):
        FrameChoice(max_frames=0)


@pytest.fixture
def answers(monkeypatch):
    """Replace the model's answers by given ones."""
    queue: list[str] = []

    def decode_windows(model, windows, *rest):
        return [written_answer(queue.pop(0)) for _ in windows]

    monkeypatch.setattr(infer.decoding.answer_order, "decode_windows", decode_windows)
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


def test_carrying_forward_is_marked(nano, reader, answers):
    answers += ["rubbish", "<progress>10%</progress>", "rubbish"]
    video = EncodedVideo(nano, reader)
    predictions = list(predict_video(nano, video, "t", WINDOW, [0, 5, 9]))
    records = list(carry_forward(predictions))
    assert [r.progress for r in records] == [None, 10.0, 10.0]
    assert [r.progress_source for r in records] == [None, "model", "previous"]
    assert records[2].parsed_progress is None
    assert [r.progress for r in carry_forward(predictions, previous=7.0)] == [7.0, 10.0, 10.0]  # a continued run


def test_reversed_playback_comes_in_its_own_order(nano, reader, answers):
    answers += ["<progress>1%</progress>"] * 3
    records = list(predict_video(nano, EncodedVideo(nano, reader), "t", WINDOW, [0, 5, 39], reverse=True))
    assert [r.frame_index for r in records] == [39, 5, 0]
    assert [r.window_frame_indices for r in records] == [(39, 39, 39, 39), (11, 9, 7, 5), (6, 4, 2, 0)]


def test_every_frame_passes_the_vision_tower_once(nano, reader, answers):
    answers += ["<progress>1%</progress>"] * 40
    images = []

    def count(module, arguments, keywords):
        images.append(len(keywords["grid_thw"]))

    hook = nano.base.model.visual.register_forward_pre_hook(count, with_kwargs=True)
    try:
        video = EncodedVideo(nano, reader)
        list(predict_video(nano, video, "t", WINDOW, list(range(0, 40, 3)), decoding=Decoding(batch_size=8)))
    finally:
        hook.remove()
    shown = {index for t in range(0, 40, 3) for index in window_indices(WINDOW, t, reader.fps)}
    assert sum(images) == len(shown) < 14 * WINDOW.size


def with_window(nano, window: WindowSpec) -> ProgressModel:
    return ProgressModel(
        nano.model, nano.tokenizer, nano.image_processor, "b", ProgressConfig(window, None, None, (), 1)
    )


def test_the_adapter_brings_its_window(nano):
    adapted = with_window(nano, WINDOW)
    assert choose_window(adapted.progress_config) == WINDOW
    assert choose_window(adapted.progress_config, WindowRequest(window_size=4)) == WINDOW
    with pytest.raises(ModelError, match="leave the window flags out, or add --force"):
        choose_window(adapted.progress_config, WindowRequest(window_size=8))
    forced = choose_window(adapted.progress_config, WindowRequest(window_size=8, force=True))
    assert forced == WindowSpec(size=8, stride=2)
    assert choose_window(nano.progress_config, WindowRequest(window_size=5)) == WindowSpec(size=5, rate_hz=6.25)
    assert choose_window(nano.progress_config, WindowRequest(window_stride=3)) == WindowSpec(size=8, stride=3)


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
        "task", "sample_index", "parsed_progress", "progress_source", "progress_std", "progress_mass",
    } == records[0].keys()  # fmt: skip
    assert records[-1]["frame_index"] == 107
    assert records[-1]["timestamp_sec"] == pytest.approx(107 / 25)


def test_an_empty_task_is_refused(tmp_path):
    with pytest.raises(ValueError, match="task text is empty"):
        infer_progress_from_video(str(NANO), str(DEMO / "demo.mp4"), " ")


def test_memory_stays_bounded(nano, tmp_path, answers):
    """Features of frames that no window to come shows are dropped, and the background waits when it is far ahead."""
    answers += ["<progress>1%</progress>"] * 400
    reader = VideoReader(write_video(tmp_path / "long.mp4", 400))
    most = 0
    video = EncodedVideo(nano, reader)
    for _ in predict_video(nano, video, "t", WINDOW, list(range(400)), decoding=Decoding(batch_size=4)):
        most = max(most, len(video._features))
    assert most <= 4 + 16 * 2 + WINDOW.size * 2
    assert video._ahead is None  # the thread is gone


def test_a_window_larger_than_the_video_repeats_its_first_frame(nano, tmp_path, answers):
    answers += ["<progress>1%</progress>"] * 3
    reader = VideoReader(write_video(tmp_path / "short.mp4", 3))
    records = list(predict_video(nano, EncodedVideo(nano, reader), "t", WindowSpec(size=8, stride=2), [0, 1, 2]))
    assert records[2].window_frame_indices == (0, 0, 0, 0, 0, 0, 0, 2)


def test_a_full_memory_halves_the_batch_and_goes_on(nano, reader, answers, monkeypatch, caplog):
    answers += ["<progress>1%</progress>"] * 80
    monkeypatch.setattr(nano, "_batch_limits", {})
    given = infer.decoding.answer_order.decode_windows
    sizes = []

    def scarce(model, windows, *rest):
        sizes.append(len(windows))
        if len(windows) > 4:
            raise torch.OutOfMemoryError("out of memory")
        return given(model, windows, *rest)

    monkeypatch.setattr(infer.decoding.answer_order, "decode_windows", scarce)
    video = EncodedVideo(nano, reader)
    records = list(predict_video(nano, video, "t", WINDOW, list(range(40)), decoding=Decoding(batch_size=16)))
    assert [record.frame_index for record in records] == list(range(40))
    assert [size for size in sizes if size > 4] == [14, 7]  # the first and the ninth of a block come before
    assert "continuing with 3 windows at a time" in caplog.text
    sizes.clear()
    list(predict_video(nano, video, "t", WINDOW, list(range(40)), reverse=True, decoding=Decoding(batch_size=16)))
    assert max(sizes) == 3  # remembered


@pytest.fixture
def broken(tmp_path):
    """A video of 120 frames that does not decode from about frame 70 on."""
    path = write_video(tmp_path / "broken.mp4", 120, g="12", bf="2")
    content = bytearray(path.read_bytes())
    low, high = int(len(content) * 0.5), int(len(content) * 0.6)
    content[low:high] = bytes(high - low)
    path.write_bytes(content)
    return path


def run(nano, path, output, **options):
    return infer_progress_from_video(
        "base", path, "t", model=nano, output_path=output, window_size=4, window_stride=2, **options
    )


def test_a_video_that_breaks_keeps_what_came_before_and_others_go_on(nano, broken, video, tmp_path, answers):
    answers += ["<progress>1%</progress>"] * 200
    output = tmp_path / "p.jsonl"
    with pytest.raises(ValueError, match=r"broken\.mp4: frame \d+ does not decode.*kept"):
        run(nano, [broken, video], output)
    rows = read_records(output)
    frames = [row["frame_index"] for row in rows if row["video_path"] == str(broken)]
    assert 0 < len(frames) < 120 and frames == list(range(len(frames)))
    assert sum(row["video_path"] == str(video) for row in rows) == 40


def test_several_videos_are_one_call_and_one_model(nano, video, tmp_path, answers):
    answers += ["<progress>1%</progress>"] * 80
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("b.mp4", "a.mp4"):
        (folder / name).write_bytes(video.read_bytes())
    records = run(nano, folder, tmp_path / "p.jsonl")
    assert [r["video_path"] for r in records[::40]] == [str(folder / "a.mp4"), str(folder / "b.mp4")]
    assert [r["sample_index"] for r in records] == [*range(40), *range(40)]
    assert read_records(tmp_path / "p.jsonl") == records


def test_a_stopped_run_goes_on_without_a_lost_or_doubled_row(nano, video, tmp_path, answers):
    answers += ["<progress>1%</progress>"] * 240
    output = tmp_path / "p.jsonl"
    whole = run(nano, video, output)
    content = output.read_bytes()
    for stop in (0, 10, len(content) // 2, len(content) - 1, len(content)):
        output.write_bytes(content[:stop])  # as a kill leaves it, at any byte
        assert run(nano, video, output, resume=True) == whole
        assert output.read_bytes() == content


def test_going_on_with_another_task_or_window_is_refused(nano, video, tmp_path, answers):
    answers += ["<progress>1%</progress>"] * 40
    output = tmp_path / "p.jsonl"
    run(nano, video, output)
    with pytest.raises(ValueError, match=r"made in another way \(task: .* then, u now; window: "):
        infer_progress_from_video("b", video, "u", model=nano, output_path=output, resume=True, window_size=4)
    with pytest.raises(ValueError, match="resume with the same task, window and frames"):
        run(nano, video, output, resume=True, max_sampled_frames=7)
    with pytest.raises(ValueError, match="resume needs an output_path"):
        run(nano, video, None, resume=True)
    assert len(read_records(output)) == 40


def test_a_run_that_cannot_start_leaves_an_earlier_file_alone(nano, tmp_path):
    output = tmp_path / "p.jsonl"
    output.write_text('{"frame_index": 0}\n')
    with pytest.raises(ValueError, match="no such file"):
        run(nano, tmp_path / "missing.mp4", output)
    assert output.read_text() == '{"frame_index": 0}\n'


def test_predictions_do_not_replace_the_video(nano, video, tmp_path):
    copy = tmp_path / "v.mp4"
    copy.write_bytes(video.read_bytes())
    for output, message in ((copy, "is also read by this command"), (tmp_path, "is a folder; name a file in it")):
        with pytest.raises(ValueError, match=message):
            run(nano, copy, output)
    assert copy.read_bytes() == video.read_bytes()


def test_a_folder_of_pictures_is_predicted(nano, video, tmp_path):
    pictures = tmp_path / "all" / "take"
    pictures.mkdir(parents=True)
    (pictures / "fps.txt").write_text("25")
    for index, frame in VideoReader(video).iter_frames(range(6)):
        Image.fromarray(frame).save(pictures / f"{index}.png")
    records = run(nano, tmp_path / "all", tmp_path / "p.jsonl", max_sampled_frames=2, max_new_tokens=4)
    assert [(record["video_path"], record["frame_index"]) for record in records] == [
        (str(pictures), 0),
        (str(pictures), 5),
    ]


def test_drafting_changes_no_record(nano):
    """All ways of batching and drafting, and the background thread, give the records of plain decoding."""
    reader = VideoReader(DEMO / "demo.mp4")
    frames, task = list(range(0, 108, 12)), read_annotation(DEMO / "demo.json").task

    def predict(reverse=False, **settings):
        video = EncodedVideo(nano, reader)
        return list(predict_video(nano, video, task, WINDOW, frames, reverse, decoding=Decoding(**settings)))

    plain = predict(drafting=False, batch_size=5)
    for batch_size in (3, 32):
        assert predict(batch_size=batch_size) == plain
    assert predict(reverse=True) == predict(reverse=True, drafting=False)


def test_options_are_listed_and_others_refused():
    lines = infer_progress_from_video.__doc__.split("Args:")[1].split("Returns:")[0]
    assert set(re.findall(r"\w+", lines)) >= OPTIONS
    with pytest.raises(TypeError, match=r'no option "windw_size"; did you mean "window_size"\?'):
        infer_progress_from_video(str(NANO), str(DEMO / "demo.mp4"), "t", windw_size=3)
    with pytest.raises(TypeError, match=r'no option "xyz"; its options are attn_implementation, base_model'):
        infer_progress_from_video(str(NANO), str(DEMO / "demo.mp4"), "t", xyz=3)
