"""Fixtures: a small synthetic video, an annotated demonstration, the embedded base model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # on busy cores more threads are several times slower

import pytest
from annotate_page import chromium, desk, label, open_editor, used_episodes  # noqa: F401  (fixtures)
from material import NANO, TASK, make_annotation, write_video

from dataset.annotation_file import write_annotation


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory) -> None:
    """Keep hashes of test videos out of the user's cache."""
    os.environ["ONETAKE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """A video of 40 numbered frames at 25 fps, H.264 with B-frames."""
    return write_video(tmp_path_factory.mktemp("video") / "demo.mp4", 40, g="12", bf="2")


@pytest.fixture
def annotation_path(video, tmp_path) -> Path:
    """A valid annotation of two stages and ten finished frames, beside a copy of the video."""
    copy = tmp_path / video.name
    copy.write_bytes(video.read_bytes())
    path = tmp_path / "demo.json"
    write_annotation(path, make_annotation(copy, 10, 30))
    return path


@pytest.fixture
def store(video, tmp_path):
    """The labelling page's store of two episodes."""
    from annotate.store import Store

    for name in ("a.mp4", "b.mp4"):
        shutil.copy(video, tmp_path / name)
    return Store.open([tmp_path], TASK)


@pytest.fixture(scope="session")
def nano():
    """The embedded base model."""
    from infer.model.model import ProgressModel
    from infer.model.source import ModelSource

    return ProgressModel.load(ModelSource(str(NANO)))
