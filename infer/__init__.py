"""Inference: models and adapters, predictions, metrics, reports. Torch is imported when a model is."""

from infer.decoding.settings import Decoding
from infer.model.errors import ModelError
from infer.model.source import ModelSource
from infer.records import Prediction

_LAZY = {
    "ProgressModel": "infer.model.model",
    "ProgressStream": "infer.stream",
    "batch_chat": "infer.chat",
    "infer_progress_from_video": "infer.predict",
    "predict_recordings": "infer.predict",
    "predict_video": "infer.playback",
    "push_all": "infer.stream",
}

__all__ = ["Decoding", "ModelError", "ModelSource", "Prediction", *sorted(_LAZY)]


def __getattr__(name: str):
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'infer' has no attribute '{name}'")
