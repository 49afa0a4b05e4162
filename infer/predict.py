"""Predictions for whole recordings: recordings and a task text in, one record per sampled frame out.

Knows the order of the work and the file of records. Does not know how a window is answered: an engine does
(`infer.playback.TransformersEngine`, `infer.vllm.client.VllmEngine`), and torch is imported with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tqdm import tqdm

from dataset.files import refuse_overwriting
from dataset.inputs import find_videos
from dataset.video import VideoError, VideoReader
from dataset.window import WindowSpec, wide_windows, window_indices
from infer.decoding.settings import Decoding
from infer.model.adapter_folder import ProgressConfig
from infer.model.errors import ModelError
from infer.model.identity import Identity
from infer.model.source import ModelSource
from infer.records import Prediction, RecordFile, carry_forward, make_record
from infer.request import FrameChoice, Output, WindowRequest, check_task, choose_window, foreign_task
from infer.vllm.client import ServedModel, VllmEngine

if TYPE_CHECKING:
    from infer.model.model import ProgressModel

T = TypeVar("T")
SETTINGS = (ModelSource, WindowRequest, FrameChoice, Decoding, Output)
OPTIONS = {item.name for settings in SETTINGS for item in fields(settings)} | {
    "model", "engine", "server", "server_model",
}  # fmt: skip


class Engine(Protocol):
    """What answers windows, how its model was trained (None for a base), which model it is, and its largest picture."""

    @property
    def progress_config(self) -> ProgressConfig | None: ...

    @property
    def identity(self) -> Identity: ...

    @property
    def max_pixels(self) -> int: ...

    def predict(
        self, reader: VideoReader, task: str, window: WindowSpec, frame_indices: Sequence[int], decoding: Decoding
    ) -> Iterator[Prediction]: ...


def predict_recordings(
    source: ModelSource | ServedModel | ProgressModel,
    video_path: str | Path | Sequence[str | Path],
    task: str,
    window: WindowRequest = WindowRequest(),
    frames: FrameChoice = FrameChoice(),
    decoding: Decoding = Decoding(),
    output: Output = Output(),
) -> list[dict[str, Any]]:
    """Predict one or more recordings and return their records (written to `output.output_path` as JSONL, too).

    Args:
        source: The model: what to load, a model on a vLLM server, or a loaded model.
        video_path: A video, a folder of videos, a glob, or a list of these; the model is loaded once.
        task: The task text, the same for all.
        window: The window rule, if it is not the adapter's.
        frames: Which frames are sampled.
        decoding: How answers are decoded.
        output: Where the rows go.

    Returns:
        One dict per sampled frame with the fields of `Prediction` and `video_path`, `task`, `sample_index`.

    Raises:
        ValueError: A recording, the task, the model or the window cannot be used. A recording that breaks in the middle
            raises after all others are done; its records up to there are kept.
    """
    paths = find_videos(video_path)
    if not paths:
        raise VideoError("no video was named; give a file, a folder or a glob (--video_path)")
    refuse_overwriting(output.output_path, paths)
    readers = {str(path): VideoReader(path) for path in paths}  # errors come before the model loads
    for path, reader in readers.items():
        for notice in reader.notices:
            print(f"warning: {path} {notice}")
    check_task(task)
    record_file = RecordFile(output.output_path, output.resume) if output.output_path is not None else None
    engine = load_engine(source, decoding)
    trained = engine.progress_config
    if foreign := foreign_task(trained, task):
        print(f"warning: {foreign}")
    rule = choose_window(trained, window)
    if record_file:
        record_file.made_by(
            {**engine.identity, "engine": type(engine).__name__, "task": task, "window": rule.to_dict()}
            | {"max_pixels": engine.max_pixels, "on_unparsed": output.on_unparsed, **decoding.of_answers()}
            | {"videos": {path: reader.fingerprint for path, reader in readers.items()}}
        )
    wide = {path: found for path, reader in readers.items() if (found := wide_windows(rule, reader.timing))}
    if wide:
        others = (
            f" ({len(wide) - 1} more of the {len(readers)} recordings are too slow as well)" if len(wide) > 1 else ""
        )
        path, found = next(iter(wide.items()))
        print(f"warning: {path} {found}{others}")
    records: list[dict[str, Any]] = []
    broken: list[VideoError] = []
    with record_file or nullcontext():
        for path, reader in readers.items():
            sampled = frames.frames(len(reader))
            done = _earlier_rows(record_file, path, task, sampled, rule, reader) if record_file else []
            records += done
            missing = sampled[len(done) :]
            if not missing:
                continue
            predictions = engine.predict(reader, task, rule, missing, decoding)
            if output.on_unparsed == "previous":
                predictions = carry_forward(predictions, done[-1]["progress"] if done else None)
            rows = (make_record(path, task, n, prediction) for n, prediction in enumerate(predictions, len(done)))
            with tqdm(total=len(sampled), initial=len(done), desc=Path(path).name, unit="frame") as bar:
                try:
                    for row in rows if record_file is None else record_file.write_through(rows):
                        records.append(row)
                        bar.update()
                except VideoError as error:
                    broken.append(error)
    if broken:
        raise VideoError(f"{'; '.join(map(str, broken))} (the records up to there were kept)")
    return records


def load_engine(source: ModelSource | ServedModel | ProgressModel, decoding: Decoding) -> Engine:
    """Return the engine of a model, loaded; ModelError when it cannot be loaded or cannot decode in this way."""
    if isinstance(source, ServedModel):
        if decoding.readout != "text":
            raise ModelError(
                f'readout "{decoding.readout}" needs the probabilities of all digits; use --engine transformers'
            )
        return VllmEngine(source)
    if isinstance(source, ModelSource):
        source = source.for_predictions()
        print(f"loading PyTorch, then {source.model_path}", flush=True)
    from infer.model.model import ProgressModel
    from infer.playback import TransformersEngine

    model = ProgressModel.load(source) if isinstance(source, ModelSource) else source
    return TransformersEngine(model, model.active_adapter)


def _earlier_rows(
    record_file: RecordFile, path: str, task: str, sampled: Sequence[int], window: WindowSpec, reader: VideoReader
) -> list[dict[str, Any]]:
    """Return the rows of an interrupted run; refuse those of another task, window or choice of frames."""
    rows = [row for row in record_file.earlier if row.get("video_path") == path]
    for number, row in enumerate(rows):
        same = number < len(sampled) and row["frame_index"] == sampled[number] and row.get("task") == task
        if not same or tuple(row["window_frame_indices"]) != window_indices(window, sampled[number], reader.timing):
            raise ValueError(
                f"{record_file.path}: row {number} of {path} is frame {row['frame_index']} of the task "
                f'"{row.get("task")}", which is not what this run would write; resume with the same task, window and '
                "frames, or leave --resume out to start again"
            )
    return rows


def infer_progress_from_video(
    model_path: str,
    video_path: str | Path | Sequence[str | Path],
    task: str,
    window_size: int | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Load a model, predict one or more recordings and return their records; ProcVLM's function of the same name.

    Args:
        model_path: Base model, or with `use_lora` the adapter folder.
        video_path, task: See `predict_recordings`.
        window_size, window_stride, window_rate_hz, force: See `infer.request.WindowRequest`.
        use_lora, base_model, torch_dtype, device, min_pixels, max_pixels, attn_implementation, load_in_4bit: See
            `infer.model.source.ModelSource`.
        output_path, resume, on_unparsed: See `infer.request.Output`.
        max_frames, max_sampled_frames: See `infer.request.FrameChoice`.
        max_new_tokens, temperature, readout, drafting, seed, batch_size: See `infer.decoding.settings.Decoding`.
        model: A loaded model to use in place of `model_path`.
        engine: "transformers" (default), or "vllm": a server that `python -m infer.vllm` started.
        server, server_model: Its URL, and the model's name there.

    Returns:
        The records; see `predict_recordings`.

    Raises:
        TypeError: An option has no such name.
        ValueError: See `predict_recordings`.
    """
    for name in options.keys() - OPTIONS:
        close = difflib.get_close_matches(name, sorted(OPTIONS), 1)
        raise TypeError(
            f'infer_progress_from_video has no option "{name}"; '
            + (f'did you mean "{close[0]}"?' if close else f"its options are {', '.join(sorted(OPTIONS))}")
        )
    return predict_with(
        {**options, "model_path": model_path, "video_path": video_path, "task": task, "window_size": window_size}
    )


def predict_with(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Predict recordings with settings named as the flags of `python -m infer`; those left out have their defaults."""
    model = settings_of(ModelSource, options)
    source: ModelSource | ServedModel | ProgressModel = options.get("model") or model
    engine = options.get("engine", "transformers")
    if engine == "vllm":
        names = (("server", "server"), ("name", "server_model"))
        source = ServedModel(model, **{field: options[name] for field, name in names if name in options})
    elif engine != "transformers":
        raise ModelError(f'engine "{engine}" is unknown; use "transformers" or "vllm"')
    return predict_recordings(
        source,
        options["video_path"],
        options["task"],
        settings_of(WindowRequest, options),
        settings_of(FrameChoice, options),
        settings_of(Decoding, options),
        settings_of(Output, options),
    )


def settings_of(kind: type[T], options: Mapping[str, Any]) -> T:
    """Build a dataclass of settings from those options that have the names of its fields."""
    return kind(**{field.name: options[field.name] for field in fields(kind) if field.name in options})  # type: ignore[arg-type]
