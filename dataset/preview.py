"""The sample preview: one page with the label curve of each demonstration, windows as pictures, questions and answers.

Knows samples, pictures and HTML; does not know how samples are made. The page is one file and needs no network.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from dataset.annotation import Annotation
from dataset.demonstration import Demonstration
from dataset.files import write_text_atomically
from dataset.labels import Labels
from dataset.sample_file import VqaSample
from dataset.samples import demonstration_curve
from dataset.video import VideoReader

PICTURE_HEIGHT = 96
SAMPLES_PER_KIND = 6
PLOT_WIDTH, PLOT_HEIGHT = 900, 150


def write_preview(
    path: str | Path, demonstrations: Sequence[Demonstration], samples: Sequence[VqaSample], labels: Labels = "linear"
) -> int:
    """Write the page and return how many samples it shows: `SAMPLES_PER_KIND` of every kind and demonstration."""
    parts = [preview_demonstration(d, samples, labels) for d in demonstrations]
    environment = Environment(loader=PackageLoader("dataset", "templates"), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("preview.html").render(
        parts=parts, num_samples=len(samples), labels=labels, plot=(PLOT_WIDTH, PLOT_HEIGHT)
    )
    write_text_atomically(path, page)
    return sum(len(part["samples"]) for part in parts)


def preview_demonstration(
    demonstration: Demonstration, samples: Sequence[VqaSample], labels: Labels = "linear"
) -> dict[str, Any]:
    """Return what the page shows of one demonstration: `annotation`, `episode`, `plot`, `kinds` and `samples`.

    Every entry of `samples` holds the sample, its time in seconds and `pictures`, JPEGs of its window as data URIs.
    """
    own = [sample for sample in samples if sample.episode == demonstration.name]
    chosen = choose_samples(own)
    curve = demonstration_curve(demonstration, labels)
    kinds = {kind: sum(sample.direction == kind for sample in own) for kind in dict.fromkeys(s.direction for s in own)}
    pictures = window_pictures(chosen)
    return {
        "annotation": demonstration.annotation,
        "episode": demonstration.name,
        "plot": plot_curve(demonstration.annotation, curve),
        "kinds": kinds,
        "samples": [
            {
                "sample": sample,
                "time_sec": sample.frame_index / demonstration.annotation.fps,
                "pictures": [pictures[sample.video, index] for index in sample.window_frame_indices],
            }
            for sample in chosen
        ],
    }


def choose_samples(samples: Sequence[VqaSample], per_kind: int = SAMPLES_PER_KIND) -> list[VqaSample]:
    """Return up to `per_kind` samples of every kind, evenly spread, in the order of `samples`."""
    chosen = []
    for kind in dict.fromkeys(sample.direction for sample in samples):
        places = [place for place, sample in enumerate(samples) if sample.direction == kind]
        wanted = np.linspace(0, len(places) - 1, min(per_kind, len(places)))
        chosen += [places[round(position)] for position in wanted]
    return [samples[place] for place in sorted(set(chosen))]


def window_pictures(samples: Sequence[VqaSample], height: int = PICTURE_HEIGHT) -> dict[tuple[str, int], str]:
    """Return every frame of the windows by (video, frame), as a JPEG data URI, `height` pixels high at most."""
    needed: dict[str, set[int]] = {}
    for sample in samples:
        needed.setdefault(sample.video, set()).update(sample.window_frame_indices)
    return {
        (video, index): _data_uri(frame)
        for video, indices in needed.items()
        for index, frame in VideoReader(video).iter_frames(indices, fit=(4 * height, height))
    }


def plot_curve(annotation: Annotation, curve: np.ndarray) -> dict[str, Any]:
    """Return the label curve in the units of the page's plot: `bands` of the stages and `lines` of the curve.

    Args:
        annotation: Whose stages become bands.
        curve: Percent, shape (num_frames,); nan interrupts the line.
    """
    across = PLOT_WIDTH / annotation.num_frames
    bands = [
        {
            "x": stage.start * across,
            "width": (stage.end - stage.start) * across,
            "stage": stage,
            "number": number,
        }
        for number, stage in enumerate(annotation.stages, start=1)
    ]
    lines: list[list[str]] = []
    points: list[str] = []
    for index, value in enumerate(curve):
        if np.isnan(value):
            lines, points = [*lines, points], []
        else:
            points.append(f"{(index + 0.5) * across:.1f},{PLOT_HEIGHT * (1 - value / 100):.1f}")
    return {"bands": bands, "lines": [" ".join(line) for line in [*lines, points] if line]}


def _data_uri(frame: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
