"""Pictures of the report: curves as SVG in the colours of the page, filmstrips and windows as JPEG.

Knows matplotlib and pixels; does not know how figures are made.
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
from infer.metrics.calibration import ReliabilityBin

# Drawn in these colours, which are replaced by variables of the page: one drawing for light and dark.
THEME = {
    "#010203": "var(--ink)", "#010204": "var(--soft)", "#010205": "var(--line)", "#010206": "var(--label)",
    "#010207": "var(--base)", "#010208": "var(--adapter)", "#010209": "var(--time)",
}  # fmt: skip
INK, SOFT, LINE, LABEL, BASE, ADAPTER, TIME = THEME
_COLOURS = {"label": LABEL, "base": BASE, "adapter": ADAPTER, "time baseline": TIME}
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
    """Draw label, models and time baseline over time; nan makes a gap.

    Args:
        seconds: Time of every sampled frame, rising.
        curves: Percent by name: "label", "base", "adapter", "time baseline"; nan for none.
        markers: Times to mark, such as those of the worst windows.
        name: Distinct for every drawing of a page.
    """
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=PLOT_SIZE)
        styles: dict[str, dict[str, Any]] = {
            "label": {"linewidth": 2.4, "linestyle": (0, (5, 2))},
            "time baseline": {"linewidth": 1.4, "linestyle": ":"},
            "base": {"linewidth": 1.2},
            "adapter": {"linewidth": 2.0},
        }
        for curve, values in curves.items():
            axis.plot(seconds, values, color=_COLOURS[curve], label=curve, **styles[curve])
        for marker in markers:
            axis.axvline(marker, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
        end = max(seconds[-1], seconds[0] + 1e-3)
        axis.set(xlim=(seconds[0], end), ylim=(-4, 104), xlabel="seconds", ylabel="progress (%)")
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(curves), frameon=False, borderpad=0)
        figure.subplots_adjust(left=AXIS_LEFT, right=AXIS_RIGHT, top=0.9, bottom=0.19)
        return themed_svg(figure, name)


def draw_reliability(bins: Sequence[ReliabilityBin], name: str = "reliability") -> str:
    """Draw the mean label over the mean expected value of every bin; the area of a dot is its share of the windows."""
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(4.4, 3.4))
        axis.plot([0, 100], [0, 100], color=SOFT, linewidth=1, linestyle=":", label="perfect")
        if bins:
            total = sum(b.count for b in bins)
            x, y = [b.mean_prediction for b in bins], [b.mean_label for b in bins]
            axis.plot(x, y, color=ADAPTER, linewidth=1.4, label="expected value")
            axis.scatter(x, y, s=[12 + 160 * b.count / total for b in bins], color=ADAPTER, linewidths=0)
        axis.set(xlim=(-4, 104), ylim=(-4, 104), xlabel="expected value (%)", ylabel="mean label (%)")
        axis.legend(loc="upper left", frameon=False, fontsize=8)
        figure.subplots_adjust(left=0.13, right=0.98, top=0.97, bottom=0.14)
        return themed_svg(figure, name)


def filmstrip(reader: VideoReader, start_sec: float, end_sec: float, count: int = FILMSTRIP_FRAMES) -> str:
    """Draw frames side by side, each from the middle of its share of the time, to fit under a time axis.

    Returns:
        A data URL.
    """
    middles = start_sec + (np.arange(count) + 0.5) * (end_sec - start_sec) / count
    times = np.asarray(reader.timestamps_sec)
    return strip(reader.frames([int(np.abs(times - middle).argmin()) for middle in middles]))


def strip(frames: Sequence[np.ndarray] | np.ndarray, height: int | None = None) -> str:
    """Draw RGB uint8 frames side by side as thumbnails; returns a data URL.

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
    """Return a drawing as an <svg> element of a page: no addresses, ids of its own, the colours of the page."""
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
