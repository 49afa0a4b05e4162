"""The vLLM engine: the same questions put to an OpenAI-compatible server, which has the model in its own process.

    python -m infer.vllm --model_path runs/demo/adapter --use_lora                  in one terminal
    python -m infer --engine vllm --model_path runs/demo/adapter --use_lora ...     in another

Frames are resized here, by the adapter's pixel budget, and sent as PNG, so that both engines see the same pixels.
Window rule and prompt are the adapter's, too. Knows HTTP and records; does not know torch modules or features.
"""

from __future__ import annotations

import base64
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from dataset.prompts import build_prompt
from dataset.video import VideoError, VideoReader
from dataset.window import WindowSpec, window_indices
from infer.decoding.answers import written_answer
from infer.model.adapter_folder import (
    PROGRESS_CONFIG,
    ProgressConfig,
    base_of_adapter,
    is_adapter,
    refuse_vision_adapter,
)
from infer.model.errors import ModelError
from infer.model.model import load_image_processor
from infer.predict import OnUnparsed, make_prediction
from infer.records import Prediction

BASE_NAME, ADAPTER_NAME = "base", "adapter"  # what `python -m infer.vllm` calls them
TIMEOUT_SEC = 600


class VllmEngine:
    """A model behind a vLLM server, and how its frames must be prepared.

    Args:
        server: Base URL of the server.
        model_path, use_lora, base_model: As for `ProgressModel.load`; read for window rule and pixels only.
        name: Name under which the server has the model; "adapter" or "base" by default.

    Attributes:
        progress_config: How the adapter was trained; None without one.

    Raises:
        ModelError: The server does not answer, has no model of that name, or the adapter cannot run on vLLM.
    """

    def __init__(
        self,
        server: str,
        model_path: str,
        use_lora: bool = False,
        base_model: str | None = None,
        name: str | None = None,
    ) -> None:
        self.server = server.rstrip("/")
        self.name = name or (ADAPTER_NAME if use_lora else BASE_NAME)
        self.progress_config = None
        base = model_path
        if use_lora:
            base = base_model or base_of_adapter(model_path)
            self.progress_config = ProgressConfig.read(model_path)
            refuse_vision_adapter(model_path)
        elif is_adapter(model_path):
            raise ModelError(f"{model_path} is a LoRA adapter, not a base model; add --use_lora")
        elif (Path(model_path) / PROGRESS_CONFIG).exists():  # a merged model
            self.progress_config = ProgressConfig.read(model_path)
        config = self.progress_config
        self._processor = load_image_processor(
            base, config.min_pixels if config else None, config.max_pixels if config else None
        )
        names = [model["id"] for model in self._request("/v1/models")["data"]]
        if self.name not in names:
            raise ModelError(
                f'the server {self.server} has no model "{self.name}", only {", ".join(names)}; start it with '
                "`python -m infer.vllm` and the same --model_path, or name the model with --server_model"
            )

    def answer(
        self, windows: Sequence[Sequence[str]], prompt: str, max_new_tokens: int, temperature: float, seed: int
    ) -> list[str]:
        """Return one raw answer per window; all are asked at once, the server batches them.

        Args:
            windows: Per window its frames from `picture`, oldest first.
            prompt: The question.
            max_new_tokens, temperature, seed: See `infer.decoding.answers.Decoding`.
        """

        def ask(pictures: Sequence[str]) -> str:
            images = [{"type": "image_url", "image_url": {"url": picture}} for picture in pictures]
            reply = self._request(
                "/v1/chat/completions",
                {
                    "model": self.name,
                    "messages": [{"role": "user", "content": [*images, {"type": "text", "text": prompt}]}],
                    "max_tokens": max_new_tokens,
                    "temperature": temperature,
                    "seed": seed,
                },
            )
            return reply["choices"][0]["message"]["content"]

        with ThreadPoolExecutor(max_workers=len(windows)) as pool:
            return list(pool.map(ask, windows))

    def picture(self, frame: np.ndarray) -> str:
        """Resize an RGB frame as the model's image processor would, and return it as a data URL."""
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

        processor = self._processor
        factor = processor.patch_size * processor.merge_size
        size = processor.size
        height, width = smart_resize(*frame.shape[:2], factor, size["shortest_edge"], size["longest_edge"])
        buffer = io.BytesIO()
        Image.fromarray(frame).resize((width, height), processor.resample).save(buffer, format="PNG", compress_level=1)
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

    def _request(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SEC) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:300]
            raise ModelError(f"the server {self.server} refuses the request (status {error.code}): {detail}") from None
        except (OSError, json.JSONDecodeError) as error:
            reason = getattr(error, "reason", error)
            raise ModelError(
                f"no vLLM server answers at {self.server} ({reason}); start one with `python -m infer.vllm "
                "--model_path ...` and wait until it says that it is ready"
            ) from None


def predict_on_server(
    engine: VllmEngine,
    reader: VideoReader,
    task: str,
    window: WindowSpec,
    frame_indices: Sequence[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    batch_size: int = 32,
    on_unparsed: OnUnparsed = "null",
    seed: int = 0,
    previous: float | None = None,
    progress_bar: tqdm | None = None,
) -> Iterator[Prediction]:
    """Predict the progress at `frame_indices` in order; arguments and errors as for `infer.predict.predict_video`."""
    prompt = build_prompt(task)
    pictures: dict[int, str] = {}
    for start in range(0, len(frame_indices), batch_size):
        batch = list(frame_indices[start : start + batch_size])
        shown = [window_indices(window, t, reader.fps) for t in batch]
        needed = {index for indices in shown for index in indices}
        pictures = {index: picture for index, picture in pictures.items() if index in needed}
        broken = None
        try:
            for index, frame in reader.iter_frames(needed - pictures.keys()) if needed - pictures.keys() else ():
                pictures[index] = engine.picture(frame)
        except VideoError as error:
            broken = error
            shown = shown[: next(n for n, indices in enumerate(shown) if not pictures.keys() >= set(indices))]
        windows = [[pictures[index] for index in indices] for indices in shown]
        texts = engine.answer(windows, prompt, max_new_tokens, temperature, seed + batch[0]) if windows else []
        for t, indices, text in zip(batch, shown, texts, strict=False):
            answer = written_answer(text)
            carried = previous if on_unparsed == "previous" else None
            yield make_prediction(answer, t, float(reader.timestamps_sec[t]), indices, carried)
            previous = previous if answer.progress is None else answer.progress
            if progress_bar is not None:
                progress_bar.update()
        if broken is not None:
            raise broken
