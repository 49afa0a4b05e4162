"""The labelling page: video in, annotation out. Gradio is imported when the page is built."""

from annotate.marking import Marking
from annotate.queue import Episode
from annotate.store import ConflictError, ReplacedError, Store

__all__ = ["ConflictError", "Episode", "Marking", "ReplacedError", "Store", "build_app"]


def __getattr__(name: str):
    if name == "build_app":
        from annotate.app import build_app

        return build_app
    raise AttributeError(f"module 'annotate' has no attribute '{name}'")
