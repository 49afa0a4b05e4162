"""The overlay: a video with progress curve, label, stages and reasoning under the picture, as MP4, GIF or PNG strip.

    python -m infer.overlay --predictions runs/demo/predictions/v.adapter.jsonl --output runs/demo/overlay.mp4

It shows the numbers of the records: video, command line and report agree. Knows records, annotations and video files.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from dataset.annotation import Annotation
from dataset.annotation_file import read_annotation
from dataset.command_line import add_video_backend
from dataset.demonstration import recording_problems
from dataset.files import refuse_overwriting
from dataset.labels import label_curve
from dataset.unique_names import unique_names
from dataset.video import VideoReader
from infer.overlay.panel import Curve, Panel, value_text
from infer.records import read_records

MIN_WIDTH = 640  # pixels; smaller videos are enlarged so that text stays readable
GIF_WIDTH, GIF_FPS = 400, 8
STRIP_FRAMES, STRIP_WIDTH = 8, 1600

EPILOG = """\
examples:
  python -m infer.overlay --predictions p.jsonl --output o.mp4                         from records, without a model
  python -m infer.overlay --predictions adapter.jsonl base.jsonl --names adapter base --annotation v.json --output o.gif
  python -m infer.overlay --model_path runs/demo/adapter --use_lora --video_path v.mp4 --task "..." --output o.png
"""


def render_overlay(
    records: Sequence[dict[str, Any]],
    video_path: str | Path,
    output_path: str | Path,
    compare: Sequence[dict[str, Any]] | None = None,
    names: Sequence[str] = ("", ""),
    annotation: Annotation | None = None,
) -> None:
    """Write every frame of a video with the latest prediction under it; a PNG holds a few frames.

    Args:
        records: Rows of one video in frame order (`infer.predict.make_records`).
        video_path: The video that was predicted.
        output_path: `.mp4` (H.264), `.gif` or `.png` (a strip); written whole or not at all.
        compare: Rows of a second model on the same video.
        names: Names of the one or two models in the legend.
        annotation: The annotation of the video, to draw its label and stages.
    """
    output = Path(output_path)
    writers = {".mp4": _write_mp4, ".gif": _write_gif, ".png": _write_strip}
    if output.suffix.lower() not in writers:
        raise ValueError(f"overlay {output}: its name must end in {', '.join(writers)}")
    refuse_overwriting(output, [video_path])
    reader = VideoReader(video_path)
    problems = recording_problems(annotation, reader) if annotation is not None else []
    if problems:
        raise ValueError(
            f"the annotation belongs to another video ({'; '.join(problem.message for problem in problems)}); give the "
            "annotation of this one"
        )
    curves = [Curve(name, rows) for name, rows in zip(names, (records, compare), strict=False) if rows]
    if not curves:
        raise ValueError(f"there are no predictions of {video_path} to show; run `python -m infer` again")
    last = max(record["frame_index"] for curve in curves for record in curve.records)
    if last >= len(reader):
        raise ValueError(f"the predictions reach frame {last}, but {video_path} ends at frame {len(reader) - 1}")
    task = next((row["task"] for row in records if row.get("task")), "")
    label, stages = (label_curve(annotation), annotation.stages) if annotation else (None, ())

    def make_panel(width: int, **options: Any) -> Panel:
        return Panel(width, curves, len(reader), task, label, stages, **options)

    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.stem}.partial{output.suffix}")
    try:
        writers[output.suffix.lower()](reader, make_panel, partial)
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)


def _pages(reader: VideoReader, panel: Panel, size: tuple[int, int], indices: Sequence[int]) -> Iterator[Image.Image]:
    """Yield picture and panel, one above the other, per frame."""
    for index, frame in tqdm(reader.iter_frames(indices), total=len(indices), desc="overlay", unit="frame"):
        page = Image.new("RGB", (size[0], size[1] + panel.height))
        page.paste(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
        page.paste(panel.draw(index, float(reader.timestamps_sec[index])), (0, size[1]))
        yield page


def _picture_size(reader: VideoReader, width: int | None = None) -> tuple[int, int]:
    """Return the size of the picture, even numbers: its own, at least `MIN_WIDTH` wide, or scaled to `width`."""
    height, own = reader.frame(0).shape[:2]
    width = width or max(own, MIN_WIDTH)
    return round(width / 2) * 2, max(2, round(height * width / own / 2) * 2)


def _write_mp4(reader: VideoReader, make_panel: Callable[..., Panel], path: Path) -> None:
    size = _picture_size(reader)
    panel = make_panel(size[0])
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        rate = Fraction(reader.fps).limit_denominator(1000)
        stream = container.add_stream("libx264", rate=rate, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = size[0], size[1] + panel.height, "yuv420p"
        for page in _pages(reader, panel, size, range(len(reader))):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(page), format="rgb24")))
        container.mux(stream.encode())


def _write_gif(reader: VideoReader, make_panel: Callable[..., Panel], path: Path) -> None:
    step = max(1, round(reader.fps / GIF_FPS))
    size = _picture_size(reader, GIF_WIDTH)
    indices = range(0, len(reader), step)
    pages = [page.quantize(64, dither=Image.Dither.NONE) for page in _pages(reader, make_panel(size[0]), size, indices)]
    duration = round(1000 * step / reader.fps)
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=duration, loop=0, optimize=True)


def _write_strip(reader: VideoReader, make_panel: Callable[..., Panel], path: Path) -> None:
    """Draw evenly spread frames side by side, each with its time and value, above the whole curve."""
    panel = make_panel(STRIP_WIDTH, scale=1.6, complete=True)
    indices = sorted({round(i) for i in np.linspace(0, len(reader) - 1, STRIP_FRAMES)})
    width = STRIP_WIDTH // len(indices)
    size = _picture_size(reader, width)
    caption = 34
    page = Image.new("RGB", (STRIP_WIDTH, size[1] + caption + panel.height), (22, 24, 30))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(17)
    for number, (index, frame) in enumerate(reader.iter_frames(indices)):
        page.paste(Image.fromarray(frame).resize((width, size[1]), Image.Resampling.LANCZOS), (number * width, 0))
        record = panel.curves[0].at(index)
        value = "-" if record is None or record["progress"] is None else value_text(record).split(" (")[0]
        text = f"{reader.timestamps_sec[index]:.2f} s   {value}"
        draw.text((number * width + width / 2, size[1] + caption / 2), text, (236, 237, 242), font, anchor="mm")
    page.paste(panel.draw(indices[-1], float(reader.timestamps_sec[-1])), (0, size[1] + caption))
    page.save(path)


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infer.overlay",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--predictions", nargs="+", help="one or two JSONL files that `python -m infer` wrote")
    parser.add_argument("--names", nargs="+", help="names of the models in the legend, in the order of --predictions")
    parser.add_argument("--video_path", help="the video (default: the one named in the predictions)")
    parser.add_argument("--annotation", help="annotation of the video, to draw its label and stages")
    parser.add_argument("--output", required=True, help=".mp4, .gif or .png to write; replaced if it exists")
    add_video_backend(parser)
    model = parser.add_argument_group("instead of --predictions: run a model first")
    model.add_argument("--model_path", help="base model; with --use_lora the adapter")
    model.add_argument("--use_lora", action="store_true", help="--model_path is a LoRA adapter folder")
    model.add_argument("--task", help="the instruction the robot follows (default: the annotation's)")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Render one overlay."""
    inputs = [*(arguments.predictions or []), arguments.video_path, arguments.annotation]
    refuse_overwriting(arguments.output, inputs)
    annotation = read_annotation(arguments.annotation) if arguments.annotation else None
    if arguments.predictions:
        if len(arguments.predictions) > 2:
            raise ValueError(f"--predictions names {len(arguments.predictions)} files; an overlay shows one or two")
        video, tables = _read_predictions(arguments.predictions, arguments.video_path)
    else:
        task = arguments.task or (annotation.task if annotation else None)
        if not (arguments.model_path and arguments.video_path and task):
            raise ValueError("give --predictions, or --model_path, --video_path and --task to run a model first")
        from infer.predict import infer_progress_from_video

        video = arguments.video_path
        tables = [infer_progress_from_video(arguments.model_path, video, task, use_lora=arguments.use_lora)]
    names = arguments.names or (unique_names(arguments.predictions or []) if len(tables) > 1 else [""])
    if len(names) != len(tables):
        raise ValueError(f"--names gives {len(names)} names for {len(tables)} models; give one each")
    render_overlay(tables[0], video, arguments.output, tables[1] if len(tables) > 1 else None, names, annotation)
    print(f"wrote {arguments.output}")


def _read_predictions(paths: Sequence[str], video: str | None) -> tuple[str, list[list[dict[str, Any]]]]:
    """Return the video and the rows of each file about it; with several videos in a file, one must be named."""
    tables = []
    for path in paths:
        rows = read_records(path)
        videos = list(dict.fromkeys(row["video_path"] for row in rows))
        if not rows:
            raise ValueError(f"{path} holds no predictions; run `python -m infer` again")
        if video is None and len(videos) > 1:
            raise ValueError(f"{path} holds predictions of {len(videos)} videos; choose one of them with --video_path")
        video = video or videos[0]
        tables.append(rows if len(videos) == 1 else [row for row in rows if row["video_path"] == video])
        if not tables[-1]:
            raise ValueError(f"{path} holds no predictions of {video}, only of {', '.join(videos)}")
    assert video is not None  # at least one file was named
    return video, tables
