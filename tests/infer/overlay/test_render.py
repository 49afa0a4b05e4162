import json

import numpy as np
import pytest
from material import make_annotation, write_video
from PIL import Image

from dataset.annotation_file import write_annotation
from dataset.video import VideoReader
from infer.overlay.render import main, make_parser, render_overlay


def record(frame: int, progress: float | None, **fields) -> dict:
    reasoning = "The following actions are required:\n1. lift"
    row = {"frame_index": frame, "progress": progress, "reasoning": reasoning, "video_path": "v.mp4", "task": "Lift it"}
    return {**row, **fields}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("v") / "v.mp4", 21)


def blue(frame: np.ndarray) -> np.ndarray:
    """Mark pixels that are much bluer than red, as only the first curve and its number are."""
    return frame[..., 2].astype(int) - frame[..., 0] > 60


def orange(frame: np.ndarray) -> np.ndarray:
    """Mark pixels of the second curve."""
    return frame[..., 0].astype(int) - frame[..., 2] > 90


def test_every_frame_is_there_and_the_curve_is_at_the_records_height(source, tmp_path):
    render_overlay([record(index, 5.0 * index) for index in range(21)], source, tmp_path / "o.mp4")
    reader = VideoReader(tmp_path / "o.mp4")
    assert len(reader) == 21 and reader.fps == 25.0
    assert not list(tmp_path.glob(".*partial*"))
    height, width = reader.frame(20).shape[:2]
    assert width == 640 and height % 2 == 0  # 96 x 64 pixels are enlarged
    panel = blue(reader.frame(20)[427 + 78 :])  # below the picture and the number
    rows, columns = np.nonzero(panel)
    left, right = rows[columns < 80], rows[columns > 590]
    assert left.max() - right.min() > 95  # rises from 0 to 100 % over a plot of 120 pixels
    early = blue(reader.frame(3)[427 + 78 :])
    assert np.nonzero(early)[1].max() < 200  # later values are not shown yet


def test_two_models_label_and_stages(source, tmp_path):
    annotation = make_annotation(source, 8, 16)
    rows = [record(index, 50.0) for index in range(21)]
    render_overlay(rows, source, tmp_path / "one.mp4")
    other = [record(index, 20.0) for index in range(21)]
    render_overlay(rows, source, tmp_path / "two.mp4", other, ("adapter", "base"), annotation)
    one, two = (VideoReader(tmp_path / f"{name}.mp4").frame(20)[430:] for name in ("one", "two"))
    assert not orange(one).any() and orange(two).sum() > 500
    assert two.shape[0] > one.shape[0]  # a row with the stages' names


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_other_formats(source, tmp_path, suffix):
    output = tmp_path / f"o{suffix}"
    render_overlay([record(index, 5.0 * index) for index in range(21)], source, output)
    with Image.open(output) as image:
        frames = getattr(image, "n_frames", 1)
        assert frames == (7 if suffix == ".gif" else 1)
        assert image.width == (400 if suffix == ".gif" else 1600)


def test_what_cannot_be_shown_is_told(source, tmp_path):
    rows = [record(0, 1.0)]
    for arguments, message in (
        ((rows, source, tmp_path / "o.avi"), "must end in .mp4, .gif, .png"),
        (([], source, tmp_path / "o.mp4"), "no predictions"),
        (([record(21, 1.0)], source, tmp_path / "o.mp4"), "reach frame 21"),
    ):
        with pytest.raises(ValueError, match=message):
            render_overlay(*arguments)
    longer = make_annotation(write_video(tmp_path / "w.mp4", 30), 8, 16)
    with pytest.raises(ValueError, match="belongs to another video \\(num_frames is 30, but"):
        render_overlay(rows, source, tmp_path / "o.mp4", annotation=longer)
    with pytest.raises(ValueError, match="is also read by this command"):
        render_overlay(rows, source, source)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match="is a folder; name a file in it"):
        render_overlay(rows, source, tmp_path / "folder.mp4")
    assert not list(tmp_path.glob("*o.*"))


def write_rows(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_command_takes_records_of_several_videos_and_an_annotation(source, tmp_path):
    rows = [record(0, 1.0, video_path=str(source)), record(0, 2.0, video_path="other.mp4")]
    path = write_rows(tmp_path / "p.jsonl", rows)
    output = ["--output", str(tmp_path / "o.png")]
    with pytest.raises(ValueError, match="choose one of them with --video_path"):
        main(make_parser().parse_args(["--predictions", path, *output]))
    annotation = tmp_path / "v.json"
    write_annotation(annotation, make_annotation(source, 8, 16))
    given = ["--predictions", path, "--video_path", str(source), "--annotation", str(annotation), *output]
    main(make_parser().parse_args(given))
    assert (tmp_path / "o.png").exists()
    with pytest.raises(ValueError, match="give --predictions, or --model_path"):
        main(make_parser().parse_args(output))
    kept = annotation.read_bytes()
    with pytest.raises(ValueError, match=r"v\.json is also read by this command"):
        main(make_parser().parse_args([*given, "--output", str(annotation)]))
    assert annotation.read_bytes() == kept
    sample = write_rows(tmp_path / "s.jsonl", [{"video": "v.mp4", "frame_index": 3, "progress": 20.0, "prompt": "p"}])
    with pytest.raises(ValueError, match=r"s\.jsonl, line 1: no prediction \(it has no video_path\)"):
        main(make_parser().parse_args(["--predictions", sample, *output]))
    with pytest.raises(ValueError, match="gives 2 names for 1 models"):
        main(make_parser().parse_args([*given, "--names", "a", "b"]))
