"""The panel under the picture: progress curves, label, stages, the current value and the reasoning.

Knows records and pixels; does not know video files or models.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dataset.annotation import Stage

CURVE_HEIGHT, MARGIN = 120, 14  # in units of a 640-pixel page
TASK_LINES, REASONING_LINES = 2, 8
_INK, _SOFT, _PAGE, _GRID = (236, 237, 242), (150, 155, 166), (22, 24, 30), (52, 55, 64)
_BANDS = ((34, 38, 48), (44, 49, 61))
_COLORS = ((96, 165, 250), (251, 146, 60))
_LABEL = (160, 165, 175)


@dataclass(frozen=True)
class Curve:
    """The predictions of one model on one video.

    Args:
        name: Shown in the legend; "" for none.
        records: Rows in frame order.
    """

    name: str
    records: Sequence[dict[str, Any]]

    def at(self, index: int) -> dict[str, Any] | None:
        """Return the latest prediction up to a frame; None before the first one."""
        number = bisect_right([record["frame_index"] for record in self.records], index)
        return self.records[number - 1] if number else None


class Panel:
    """Draws the panel of one video at any of its frames; all have the same height.

    Args:
        width: Pixels.
        curves: Predictions of one or two models; the reasoning is the first one's.
        num_frames: Frames of the video.
        task: The task text.
        label: Percent per frame, nan for none; None without an annotation.
        stages: Stages of the annotation.
        scale: Size of text and lines; 1 fits a page of 640 pixels.
        complete: Draw the whole curves at every frame, and no reasoning.
    """

    def __init__(
        self,
        width: int,
        curves: Sequence[Curve],
        num_frames: int,
        task: str,
        label: np.ndarray | None = None,
        stages: Sequence[Stage] = (),
        scale: float | None = None,
        complete: bool = False,
    ) -> None:
        if not 1 <= len(curves) <= len(_COLORS):
            raise ValueError(f"{len(curves)} models were given; an overlay shows one or two")
        self.width, self.curves, self.num_frames = width, curves, num_frames
        self.label, self.stages, self.complete = label, stages, complete
        self.scale = scale or width / 640
        self._text, self._small, self._large = (ImageFont.load_default(round(n * self.scale)) for n in (15, 11, 22))
        self._left, self._gap, self._line = self._px(MARGIN), self._px(MARGIN * 0.7), self._px(20)
        inner = width - 2 * self._left
        task_lines = fit_text(task, self._text, inner, TASK_LINES)
        texts = () if complete else {record["reasoning"] for record in curves[0].records}
        self._reasoning = {text: fit_text(text, self._text, inner, REASONING_LINES) for text in texts}
        most = max(map(len, self._reasoning.values()), default=0)

        self._values_top = self._gap + len(task_lines) * self._line + self._gap
        self._plot_top = self._values_top + self._px(32) + self._gap + (self._px(18) if stages else 0)
        self._plot_bottom = self._plot_top + self._px(CURVE_HEIGHT)
        self._reasoning_top = self._plot_bottom + 2 * self._gap
        height = self._reasoning_top + most * self._line + self._gap
        self.height = height + height % 2  # yuv420p needs even sizes
        self._ground = self._draw_ground(task_lines)

    def _px(self, units: float) -> int:
        return round(units * self.scale)

    def _place(self, frame: float, progress: float) -> tuple[float, float]:
        """Return the point of the plot for a frame and a percentage."""
        left, right = self._px(MARGIN + 28), self.width - self._left
        height = self._plot_bottom - self._plot_top
        return (
            left + (right - left) * frame / max(self.num_frames - 1, 1),
            self._plot_bottom - height * progress / 100.0,
        )

    def _draw_ground(self, task_lines: Sequence[str]) -> Image.Image:
        """Draw what all frames share: task, stages, grid and label."""
        image = Image.new("RGB", (self.width, self.height), _PAGE)
        draw = ImageDraw.Draw(image)
        for number, text in enumerate(task_lines):
            draw.text((self._left, self._gap + number * self._line), text, fill=_INK, font=self._text)
        for number, stage in enumerate(self.stages):
            x0 = self._place(stage.start, 0)[0]
            x1 = self._place(min(stage.end, self.num_frames - 1), 0)[0]
            top = self._plot_top - self._px(18)
            draw.rectangle((x0, top, x1, self._plot_bottom), fill=_BANDS[number % 2])
            name = "left out" if stage.excluded else stage.subtask
            lines = fit_text(f"{number + 1}. {name}", self._small, x1 - x0 - self._px(6), 1)
            text = lines[0] if lines and len(lines[0]) > 8 else str(number + 1)
            if self._small.getlength(text) < x1 - x0:
                middle = top + self._px(9)
                draw.text((x0 + self._px(3), middle), text, fill=_SOFT, font=self._small, anchor="lm")
        for level in (0, 50, 100):
            x, y = self._place(0, level)
            draw.line((x, y, self.width - self._left, y), fill=_GRID)
            draw.text((x - self._px(6), y), str(level), fill=_SOFT, font=self._small, anchor="rm")
        if self.label is not None:
            for run in runs(list(enumerate(self.label))):
                dashed(draw, [self._place(*point) for point in run], _LABEL, max(1, self._px(2)), self._px(6))
        return image

    def draw(self, index: int, timestamp_sec: float) -> Image.Image:
        """Return the panel at a frame."""
        image = self._ground.copy()
        draw = ImageDraw.Draw(image)
        self._draw_values(draw, index, timestamp_sec)
        self._draw_curves(draw, index)
        current = self.curves[0].at(index)
        lines = self._reasoning.get(current["reasoning"], []) if current else []
        for number, text in enumerate(lines):
            draw.text((self._left, self._reasoning_top + number * self._line), text, fill=_INK, font=self._text)
        return image

    def _draw_values(self, draw: ImageDraw.ImageDraw, index: int, timestamp_sec: float) -> None:
        """Draw the value of each model and of the label; the names of the models make this the legend."""
        x, middle = float(self._left), self._values_top + self._px(16)
        for curve, color in zip(self.curves, _COLORS, strict=False):
            value = value_text(curve.at(index))
            if curve.name:
                draw.text((x, middle), curve.name, fill=color, font=self._small, anchor="lm")
                x += self._small.getlength(curve.name) + self._px(6)
            font = self._large if value.endswith("%") else self._text
            draw.text((x, middle), value, fill=color, font=font, anchor="lm")
            x += font.getlength(value) + self._px(18)
        if self.label is not None:
            text = "label -" if math.isnan(self.label[index]) else f"label {self.label[index]:.1f} %"
            draw.text((x, middle), text, fill=_LABEL, font=self._text, anchor="lm")
        where = f"frame {index} of {self.num_frames - 1}   {timestamp_sec:.2f} s"
        draw.text((self.width - self._left, middle), where, fill=_SOFT, font=self._small, anchor="rm")

    def _draw_curves(self, draw: ImageDraw.ImageDraw, index: int) -> None:
        width = max(1, self._px(2.4))
        x = self._place(index, 0)[0]
        draw.line((x, self._plot_top, x, self._plot_bottom), fill=_SOFT, width=max(1, self._px(1)))
        for curve, color in reversed(list(zip(self.curves, _COLORS, strict=False))):
            points = [
                (record["frame_index"], math.nan if record["progress"] is None else record["progress"])
                for record in curve.records
                if self.complete or record["frame_index"] <= index
            ]
            for run in runs(points):
                if len(run) > 1:
                    draw.line([self._place(*point) for point in run], fill=color, width=width, joint="curve")
                else:
                    _dot(draw, self._place(*run[0]), color, width)
            current = curve.at(index)
            if current is not None and current["progress"] is not None:
                _dot(draw, (x, self._place(0, current["progress"])[1]), color, self._px(4))


def value_text(record: dict[str, Any] | None) -> str:
    """Return the value of a prediction as text, with its source unless that is the answer's own number."""
    if record is None:
        return "no prediction yet"
    if record["progress"] is None:
        return "no percentage in the answer"
    text = f"{record['progress']:.1f} %"
    source = record.get("progress_source") or "model"
    if source == "expected" and record.get("progress_std") is not None:
        return f"{record['progress']:.1f} +- {record['progress_std']:.1f} %"
    return text + {"previous": " (carried forward)", "forced": " (tag filled in)"}.get(source, "")


def fit_text(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float, most: int) -> list[str]:
    """Wrap text to `width` pixels and at most `most` lines; "..." marks a cut at the end."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            while len(word) > 1 and font.getlength(word) > width and len(lines) <= most:  # too long for a line: cut it
                if line:
                    lines.append(line)
                    line = ""
                cut = max(1, bisect_right(range(1, len(word)), width, key=lambda n: font.getlength(word[:n])))
                lines.append(word[:cut])
                word = word[cut:]
            candidate = f"{line} {word}" if line else word
            if line and font.getlength(candidate) > width:
                lines.append(line)
                line = word
            else:
                line = candidate
            if len(lines) > most:
                break
        if line:
            lines.append(line)
        if len(lines) > most:
            break
    if len(lines) > most:
        last = lines[most - 1]
        while last and font.getlength(last + " ...") > width:
            last = last[:-1]
        lines = [*lines[: most - 1], f"{last} ..." if last else "..."]
    return lines


def runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Split a curve where its value is nan."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if math.isnan(point[1]):
            pieces.append([])
        else:
            pieces[-1].append(point)
    return [piece for piece in pieces if piece]


def dashed(draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], color, width: int, dash: float) -> None:
    """Draw a polyline of dashes and gaps of equal length."""
    travelled = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        done = 0.0
        while done < length:
            step = min(dash - travelled % dash, length - done)
            if int(travelled / dash) % 2 == 0:
                a, b = done / length, (done + step) / length
                draw.line(
                    (x0 + (x1 - x0) * a, y0 + (y1 - y0) * a, x0 + (x1 - x0) * b, y0 + (y1 - y0) * b),
                    fill=color, width=width,
                )  # fmt: skip
            done += step
            travelled += step + 1e-9


def _dot(draw: ImageDraw.ImageDraw, center: tuple[float, float], color, radius: float) -> None:
    x, y = center
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
