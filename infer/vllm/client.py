"""The vLLM engine: windows are answered by an OpenAI-compatible server, which has the model in its own process.

    python -m infer.vllm --model_path runs/demo/adapter --use_lora                  in one terminal
    python -m infer --engine vllm --model_path runs/demo/adapter --use_lora ...     in another

Frames are resized here, by the adapter's pixel budget, and sent as PNG, so that both engines see the same pixels.
Window rule and prompt are the adapter's, too. Knows HTTP and predictions; does not know features. Torch is imported
when an engine is made, by transformers' image processor.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from dataset.prompts import build_prompt
from dataset.video import VideoError, VideoReader
from dataset.window import WindowSpec, window_indices
from infer.decoding.settings import Decoding
from infer.decoding.window_answer import written_answer
from infer.model.errors import ModelError
from infer.model.identity import identity_of_files
from infer.model.source import ModelSource
from infer.model.transformers_internals import resized_shape
from infer.records import Prediction, make_prediction
from infer.vllm.probe import refuse_inactive_adapter
from infer.vllm.replies import answer_in, refuse_error_object, refuse_other_model
from infer.vllm.server import ADAPTER_NAME, BASE_NAME, DEFAULT_SERVER

TIMEOUT_SEC = 600


@dataclass(frozen=True)
class ServedModel:
    """A model on a vLLM server.

    Args:
        source: The model as the server was started with; read here for window rule and pixels only.
        server: Base URL of the server.
        name: The model's name there; None takes the name that `python -m infer.vllm` gives.
    """

    source: ModelSource
    server: str = DEFAULT_SERVER
    name: str | None = None


class VllmEngine:
    """A model behind a vLLM server, and how its frames are prepared.

    Args:
        served: The model.

    Attributes:
        progress_config: How the adapter was trained; None without one.
        identity: Which model it is, by the files named here.
        max_pixels: Largest area of a picture that is sent.

    Raises:
        ModelError: The server does not answer, has no model of that name or another one under it, or the adapter cannot
            run on vLLM.
    """

    def __init__(self, served: ServedModel) -> None:
        from infer.model.loaded_base import load_image_processor

        self.server = served.server.rstrip("/")
        self.name = served.name or (ADAPTER_NAME if served.source.use_lora else BASE_NAME)
        source = served.source.for_predictions()
        base_name, self.progress_config = source.check_folder()
        budget = self.progress_config or source
        self._processor = load_image_processor(base_name, budget.min_pixels, budget.max_pixels)
        self.max_pixels = self._processor.size["longest_edge"]
        self.identity = identity_of_files(source)
        refuse_other_model(self._request("/v1/models"), self.name, self.server, source)
        if source.use_lora:
            refuse_inactive_adapter(self, source.model_path)

    def predict(
        self,
        reader: VideoReader,
        task: str,
        window: WindowSpec,
        frame_indices: Sequence[int],
        decoding: Decoding,
    ) -> Iterator[Prediction]:
        """Predict the sampled frames of a recording in order; see `infer.playback.predict_video`."""
        prompt = build_prompt(task)
        pictures: dict[int, str] = {}
        for start in range(0, len(frame_indices), decoding.batch_size):
            batch = list(frame_indices[start : start + decoding.batch_size])
            windows = [window_indices(window, t, reader.timing) for t in batch]
            needed = {index for indices in windows for index in indices}
            pictures = {index: picture for index, picture in pictures.items() if index in needed}
            broken = None
            try:
                for index, frame in reader.iter_frames(needed - pictures.keys()) if needed - pictures.keys() else ():
                    pictures[index] = self.picture(frame)
            except VideoError as error:
                broken = error
                windows = windows[: next(n for n, frames in enumerate(windows) if not pictures.keys() >= set(frames))]
            questions = [[pictures[index] for index in indices] for indices in windows]
            seeds = [decoding.seed + t for t in batch]
            texts = self.answer(questions, prompt, decoding, seeds) if questions else []
            for t, indices, text in zip(batch, windows, texts, strict=False):
                yield make_prediction(written_answer(text), t, float(reader.timestamps_sec[t]), indices)
            if broken is not None:
                raise broken

    def answer(
        self,
        windows: Sequence[Sequence[str]],
        prompt: str,
        decoding: Decoding,
        seeds: Sequence[int] | None = None,
    ) -> list[str]:
        """Return one raw answer per window; all requests are sent at once, the server batches them.

        Args:
            windows: Per window its frames from `picture`, oldest first.
            prompt: The question.
            decoding: The settings; only length, temperature and seed count.
            seeds: Per window the seed of a sampled answer; the seed of the settings by default.
        """

        def ask(pictures: Sequence[str], seed: int) -> str:
            images = [{"type": "image_url", "image_url": {"url": picture}} for picture in pictures]
            reply = self._request(
                "/v1/chat/completions",
                {
                    "model": self.name,
                    "messages": [{"role": "user", "content": [*images, {"type": "text", "text": prompt}]}],
                    "max_tokens": decoding.max_new_tokens,
                    "temperature": decoding.temperature,
                    "seed": seed,
                },
            )
            return answer_in(reply, self.server)

        with ThreadPoolExecutor(max_workers=len(windows)) as pool:
            return list(pool.map(ask, windows, seeds or [decoding.seed] * len(windows)))

    def picture(self, frame: np.ndarray) -> str:
        """Resize an RGB frame as the model's image processor would, and return it as a data URL."""
        height, width = resized_shape(self._processor, *frame.shape[:2])
        resized = Image.fromarray(frame).resize((width, height), self._processor.resample)
        buffer = io.BytesIO()
        resized.save(buffer, format="PNG", compress_level=1)
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

    def _request(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SEC) as reply:
                document = json.load(reply)
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:300]
            raise ModelError(f"the server {self.server} refuses the request (status {error.code}): {detail}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ModelError(
                f"no vLLM server answers at {self.server} ({reason}); start one with `python -m infer.vllm "
                "--model_path ...` and wait until it is ready"
            ) from None
        refuse_error_object(document, self.server)
        return document
