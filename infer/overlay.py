"""The overlay video: the progress curve and the model's reasoning under the picture.

    python -m infer.overlay --predictions runs/demo/predictions/v.adapter.jsonl --output runs/demo/overlay.mp4

Knows records and pixels; shows the records' own numbers, so that video, CLI and report agree. Does not know models.
"""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from dataset.cli import run_command
from dataset.video import VideoReader
from infer.records import read_records

MIN_WIDTH = 480  # pixels; smaller videos are enlarged so that text stays readable
CURVE_HEIGHT, TEXT_LINES, LINE_HEIGHT, MARGIN = 110, 6, 18, 12
_INK, _SOFT, _PAGE, _CURVE = (235, 235, 240), (140, 145, 155), (24, 26, 32), (96, 165, 250)


def render_overlay(records: Sequence[dict[str, Any]], video_path: str | Path, output_path: str | Path) -> None:
    """Write an H.264 video: every source frame of `video_path`, over it the prediction in force at that frame.

    Args:
        records: Rows of one video in frame order (`infer.predict.make_records`).
        video_path: The video that was predicted.
        output_path: MP4 to write; appears in one step when it is complete.
    """
    reader, output = VideoReader(video_path), Path(output_path)
    height, width = reader.frame(0).shape[:2]
    scale = max(1.0, MIN_WIDTH / width)
    size = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    panel_height = MARGIN * 3 + CURVE_HEIGHT + LINE_HEIGHT * (TEXT_LINES + 1)
    panel_height += panel_height % 2
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial.mp4")
    rows = {record["frame_index"]: record for record in records}
    current = None
    with av.open(str(partial), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(reader.fps).limit_denominator(1000), options={"crf": "23"}
        )
        stream.width, stream.height, stream.pix_fmt = size[0], size[1] + panel_height, "yuv420p"
        for index, frame in tqdm(reader.iter_frames(), total=len(reader), desc="overlay", unit="frame"):
            current = rows.get(index, current)
            page = Image.new("RGB", (size[0], size[1] + panel_height), _PAGE)
            page.paste(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
            _draw_panel(ImageDraw.Draw(page), records, current, index, len(reader), size)
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.asarray(page), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    os.replace(partial, output)


def _draw_panel(
    draw: ImageDraw.ImageDraw, records, current, index: int, num_frames: int, size: tuple[int, int]
) -> None:
    """Draw the curve up to the current frame, the percentage and the wrapped reasoning."""
    left, right = MARGIN + 30, size[0] - MARGIN
    top = size[1] + MARGIN
    bottom = top + CURVE_HEIGHT
    font, small = ImageFont.load_default(14), ImageFont.load_default(11)

    def place(frame: int, progress: float) -> tuple[float, float]:
        return left + (right - left) * frame / max(num_frames - 1, 1), bottom - CURVE_HEIGHT * progress / 100.0

    for level in (0, 50, 100):
        y = place(0, level)[1]
        draw.line((left, y, right, y), fill=(55, 58, 66))
        draw.text((left - 6, y), str(level), fill=_SOFT, font=small, anchor="rm")
    shown = [r for r in records if r["frame_index"] <= index and r["progress"] is not None]
    points = [place(record["frame_index"], record["progress"]) for record in shown]
    if len(points) > 1:
        draw.line(points, fill=_CURVE, width=3, joint="curve")
    x = place(index, 0)[0]
    draw.line((x, top, x, bottom), fill=_SOFT)
    if current is None:
        return
    value = "no percentage" if current["progress"] is None else f"{current['progress']:.1f} %"
    note = " (carried forward)" if current.get("progress_source") == "previous" else ""
    y = bottom + MARGIN
    draw.text((MARGIN, y), f"{value}{note}", fill=_CURVE, font=ImageFont.load_default(16))
    columns = max(20, (size[0] - 2 * MARGIN) // 8)
    lines = [part for line in current["reasoning"].splitlines() for part in textwrap.wrap(line, columns)]
    if len(lines) > TEXT_LINES:
        lines = [*lines[: TEXT_LINES - 1], "..."]
    for number, line in enumerate(lines):
        draw.text((MARGIN, y + 24 + number * LINE_HEIGHT), line, fill=_INK, font=font)


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infer.overlay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--predictions", required=True, help="JSONL that `python -m infer` wrote")
    parser.add_argument("--video_path", help="the video (default: the one named in the predictions)")
    parser.add_argument("--output", required=True, help="MP4 to write; replaced if it exists")
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Render one overlay video."""
    records = read_records(arguments.predictions)
    if not records:
        raise ValueError(f"{arguments.predictions} holds no predictions; run `python -m infer` again")
    render_overlay(records, arguments.video_path or records[0]["video_path"], arguments.output)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    run_command(make_parser(), main)
