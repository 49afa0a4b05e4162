"""Pictures of the report: curves as SVG that takes the page's colours, filmstrips and windows as JPEG.

Knows matplotlib and pixels; decides nothing about what is shown.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dataset.video import VideoReader
from infer.metrics.calibration import IsotonicCalibration, ReliabilityBin

# Drawn in these colours and replaced by variables of the page, so that one drawing serves light and dark.
THEME = {
    "#010203": "var(--ink)", "#010204": "var(--soft)", "#010205": "var(--line)", "#010206": "var(--label)",
    "#010207": "var(--base)", "#010208": "var(--adapter)", "#010209": "var(--clock)",
}  # fmt: skip
INK, SOFT, LINE, LABEL, BASE, ADAPTER, CLOCK = THEME
_COLOURS = {"label": LABEL, "base": BASE, "adapter": ADAPTER, "clock": CLOCK}
PLOT_SIZE = (9.0, 2.6)  # inches
AXIS_LEFT, AXIS_RIGHT = 0.06, 0.995  # of the drawing's width; the filmstrip is aligned with them
FILMSTRIP_FRAMES = 10
THUMBNAIL = 96  # pixels, the longer side
STYLE: Any = {
    "font.family": "sans-serif", "font.size": 9, "svg.fonttype": "none", "text.color": INK, "axes.labelcolor": SOFT,
    "xtick.color": SOFT, "ytick.color": SOFT, "axes.edgecolor": LINE, "grid.color": LINE, "axes.grid": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "svg.hashsalt": "onetake",
}  # fmt: skip


def draw_episode(
    seconds: Sequence[float], curves: dict[str, np.ndarray], markers: Sequence[float] = (), name: str = "episode"
) -> str:
    """Draw label, models and clock over time; gaps stay gaps.

    Args:
        seconds: Time of every judged frame, rising.
        curves: Percent by name: "label", "base", "adapter", "clock"; nan for none.
        markers: Times to mark, such as those of the worst windows.
        name: Distinct for every drawing of a page.
    """
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=PLOT_SIZE)
        styles: dict[str, dict[str, Any]] = {
            "label": {"linewidth": 2.4, "linestyle": (0, (5, 2))}, "clock": {"linewidth": 1.4, "linestyle": ":"},
            "base": {"linewidth": 1.2}, "adapter": {"linewidth": 2.0},
        }  # fmt: skip
        for curve, values in curves.items():
            axis.plot(seconds, values, color=_COLOURS[curve], label=curve, **styles[curve])
        for marker in markers:
            axis.axvline(marker, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
        end = max(seconds[-1], seconds[0] + 1e-3)
        axis.set(xlim=(seconds[0], end), ylim=(-4, 104), xlabel="seconds", ylabel="progress (%)")
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(curves), frameon=False, borderpad=0)
        figure.subplots_adjust(left=AXIS_LEFT, right=AXIS_RIGHT, top=0.9, bottom=0.19)
        return themed_svg(figure, name)


def draw_reliability(
    before: Sequence[ReliabilityBin],
    after: Sequence[ReliabilityBin],
    calibration: IsotonicCalibration | None,
    name: str = "reliability",
) -> str:
    """Draw the mean label over the mean expected value per bin, before and after calibration, and the fitted map."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(4.4, 3.4))
        axis.plot([0, 100], [0, 100], color=SOFT, linewidth=1, linestyle=":", label="perfect")
        for bins, colour, label in ((before, BASE, "as read"), (after, ADAPTER, "calibrated")):
            if bins:
                total = sum(one.count for one in bins)
                said, meant = [one.mean_prediction for one in bins], [one.mean_label for one in bins]
                axis.plot(said, meant, color=colour, linewidth=1.4, label=label)
                axis.scatter(said, meant, s=[12 + 160 * one.count / total for one in bins], color=colour, linewidths=0)
        if calibration is not None:
            corners = np.array(calibration.corners)
            axis.plot(corners[:, 0], corners[:, 1], color=SOFT, linewidth=1, label="map, from training")
        axis.set(xlim=(-4, 104), ylim=(-4, 104), xlabel="expected value (%)", ylabel="mean label (%)")
        axis.legend(loc="upper left", frameon=False, fontsize=8)
        figure.subplots_adjust(left=0.13, right=0.98, top=0.97, bottom=0.14)
        return themed_svg(figure, name)


def filmstrip(reader: VideoReader, start_sec: float, end_sec: float, count: int = FILMSTRIP_FRAMES) -> str:
    """Put frames side by side, each from the middle of its share of the time, so that they fit under a time axis.

    Returns:
        A data URL.
    """
    middles = start_sec + (np.arange(count) + 0.5) * (end_sec - start_sec) / count
    times = np.asarray(reader.timestamps_sec)
    return strip(reader.frames([int(np.abs(times - middle).argmin()) for middle in middles]))


def strip(frames: Sequence[np.ndarray] | np.ndarray, height: int | None = None) -> str:
    """Put RGB uint8 frames side by side as thumbnails; returns a data URL.

    Args:
        frames: Pictures of one size, shape (H, W, 3).
        height: Height of the thumbnails in pixels; by default the longer side has `THUMBNAIL` pixels.
    """
    thumbnails = []
    for frame in frames:
        image = Image.fromarray(frame)
        scale = height / image.height if height else THUMBNAIL / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        thumbnails.append(np.asarray(image.resize(size, Image.Resampling.LANCZOS)))
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(thumbnails, axis=1)).save(buffer, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def themed_svg(figure: Figure, name: str) -> str:
    """Return a drawing as an <svg> element for the inside of a page: no addresses, own ids, the page's colours."""
    buffer = io.StringIO()
    metadata: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    plt.close(figure)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'^<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', text)
    for colour, variable in THEME.items():
        text = text.replace(colour, variable)
    return text.strip()
