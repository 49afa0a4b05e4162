"""The check that an adapter folder reloads: the trained model and the one loaded from the folder answer alike.

Knows the model before and after; does not know how the folder was written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dataset.files import write_text_atomically
from dataset.sample_file import VqaSample
from dataset.video import VideoReader
from infer.decoding.answers import answer_windows
from infer.model.adapter_folder import PROBE_PICTURES, RELOAD_PARITY
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.reload_probe import PROBE_TOKENS, write_pictures
from infer.model.source import ModelSource
from infer.model.transformers_internals import resized_shape
from train.callbacks import base_checksums
from train.collate import WindowCollator
from train.trl_internals import restore_forward

PARITY_TOLERANCE = 1e-4  # largest difference of a logit in float32
ROUNDINGS = 4  # of the largest logit, in a number type with fewer digits
PROBES = 4


@dataclass(frozen=True)
class Probes:
    """The output of the trained model for a few fixed samples, to be compared with the reloaded model's.

    Args:
        samples: The samples.
        logits: Per sample the logits of its answer, float32 on the CPU, shape (answer tokens + 1, vocabulary).
        answers: Per sample the first tokens of the greedy answer, as text.
        tolerance: Largest difference of a logit that the model's number types explain.
    """

    samples: list[VqaSample]
    logits: list[torch.Tensor]
    answers: list[str]
    tolerance: float


@torch.no_grad()
def take_probes(model: ProgressModel, collator: WindowCollator, samples: Sequence[VqaSample]) -> Probes:
    """Run a few samples, evenly spread over the set, through the trained model.

    One sample at a time, and only the logits of the answer: those of all positions would take many times the memory.
    """
    chosen = [samples[round(i * (len(samples) - 1) / (PROBES - 1))] for i in range(PROBES)]
    logits = [_answer_logits(model, collator, sample) for sample in chosen]
    largest = max(float(rows.abs().max()) for rows in logits)
    return Probes(chosen, logits, _answers(model, collator, chosen), parity_tolerance(model.model, largest))


def parity_tolerance(model: torch.nn.Module, largest: float) -> float:
    """Return the largest difference of a logit that the coarsest number type of a model explains.

    Args:
        model: The model, with its adapter.
        largest: The largest logit.
    """
    coarsest = max(torch.finfo(w.dtype).eps for w in model.parameters() if w.is_floating_point())
    if coarsest <= torch.finfo(torch.float32).eps:
        return PARITY_TOLERANCE
    return ROUNDINGS * coarsest * max(1.0, largest)


@torch.no_grad()
def check_reload(
    trained: ProgressModel, base_before: dict[str, int], probes: Probes, collator: WindowCollator, folder: Path
) -> float:
    """Remove the adapter, check that the base is unchanged, load the adapter from the folder, compare outputs.

    Args:
        trained: The trained model; its base has no adapter afterwards.
        base_before: Checksums of the base's weights before training.
        probes: The output of the trained model.
        collator: Makes the same inputs again.
        folder: The adapter folder; the result is written into it.

    Returns:
        The largest difference of a logit.

    Raises:
        ModelError: The base changed, or the reloaded adapter answers differently.
    """
    base = bare_base(trained)
    if base_checksums(base.model) != base_before:
        raise ModelError("the weights of the base changed during training; the adapter was not put in place")
    of_base = _answers(base, collator, probes.samples)
    reloaded = base.with_adapter(folder)
    again = WindowCollator(reloaded, collator.frames, collator.as_pixels)
    difference = max(
        float((before - _answer_logits(reloaded, again, sample)).abs().max())
        for sample, before in zip(probes.samples, probes.logits, strict=True)
    )
    answers = _answers(reloaded, again, probes.samples)
    rows: list[dict[str, Any]] = [
        {
            "video": Path(sample.video).name,
            "window_frame_indices": list(sample.window_frame_indices),
            "label": sample.progress,
            "prompt": sample.prompt,
            "trained": probes.answers[number],
            "reloaded": answers[number],
            "base": of_base[number],
        }
        for number, sample in enumerate(probes.samples)
    ]
    asked = next((n for n, row in enumerate(rows) if row["trained"] != row["base"]), None)
    if asked is not None:
        rows[asked]["pictures"] = _write_pictures(folder, base, probes.samples[asked])
    document = {"logit_difference": difference, "tolerance": probes.tolerance, "probes": rows}
    write_text_atomically(folder / RELOAD_PARITY, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    bare_base(reloaded)
    exact = probes.tolerance == PARITY_TOLERANCE or difference == 0  # else a near tie may turn, and all after it
    if not difference <= probes.tolerance or (exact and answers != probes.answers):
        raise ModelError(
            f"the adapter reloaded from {folder} answers differently than the trained model (logits differ by "
            f"{difference:.2g}, of which rounding explains {probes.tolerance:.2g}); it was not put in place. Train in "
            "float32, or report this as a bug"
        )
    return difference


def check_gathered(weights: dict[str, torch.Tensor], folder: Path, base_name: str) -> None:
    """After sharded training: load the folder as inference does and compare every adapter weight, bit by bit.

    Args:
        weights: The trained model's weights, gathered.
        folder: The adapter folder; the result is written into it.
        base_name: The base.

    Raises:
        ModelError: A weight is missing or differs.
    """
    base = ProgressModel.load(ModelSource(base_name, torch_dtype="float32"))
    reloaded = dict(base.with_adapter(folder).model.named_parameters())
    trained = {name: weight for name, weight in weights.items() if ".lora_" in name}
    differing = [
        name
        for name, weight in trained.items()
        if name not in reloaded or not torch.equal(reloaded[name].cpu().float(), weight.cpu().float())
    ]
    if differing or not trained:
        raise ModelError(
            f"{len(differing)} of {len(trained)} adapter weights reloaded from {folder} differ from the trained ones; "
            "it was not put in place"
        )
    document: dict[str, Any] = {"logit_difference": None, "equal_weights": len(trained), "probes": []}
    write_text_atomically(folder / RELOAD_PARITY, json.dumps(document, indent=2) + "\n")


def bare_base(model: ProgressModel) -> ProgressModel:
    """Remove the adapter and the changes that the trainer made; return the base as it was loaded."""
    base = model.model.unload() if model.has_adapter else model.model
    restore_forward(base)
    return ProgressModel(base.eval(), model.tokenizer, model.image_processor, model.base_name)


def _answer_logits(model: ProgressModel, collator: WindowCollator, sample: VqaSample) -> torch.Tensor:
    """Return the logits of a sample's answer, and of the token before it."""
    inputs = collator([asdict(sample)])
    length = int((inputs.pop("labels") != -100).sum())
    return model.base(**inputs, logits_to_keep=length + 1).logits[0].float().cpu()


def _answers(model: ProgressModel, collator: WindowCollator, samples: Sequence[VqaSample]) -> list[str]:
    """Return the first tokens of greedy answers as text, one sample at a time: prompts may differ."""
    answers = []
    for sample in samples:
        window = [collator.frames[sample.video, index] for index in sample.window_frame_indices]
        if collator.as_pixels:
            pixels = torch.cat([frame.values[0] for frame in window])
            features = model.encode_pixels(pixels, torch.tensor([frame.grid_thw for frame in window]))
        else:
            features = [frame.features(model.device) for frame in window]
        answers += answer_windows(model, [features], sample.prompt, PROBE_TOKENS)
    return answers


def _write_pictures(folder: Path, model: ProgressModel, sample: VqaSample) -> list[str]:
    """Write the pictures of a sample's window, as the image processor resizes them; return their names."""
    decoded = dict(VideoReader(sample.video).iter_frames(set(sample.window_frame_indices)))
    frames = [decoded[index] for index in sample.window_frame_indices]
    sizes = [resized_shape(model.image_processor, *frame.shape[:2]) for frame in frames]
    write_pictures(folder, frames, sizes, model.image_processor.resample)
    return [f"{PROBE_PICTURES}/{number:02d}.png" for number in range(len(frames))]
