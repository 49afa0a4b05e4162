"""A server is asked the probe of the adapter, and refused where it answers as the base does."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_adapter import make_adapter
from material import NANO

from dataset.window import WindowSpec
from infer.model.errors import ModelError
from infer.model.reload_probe import read_probe, write_pictures
from infer.model.source import ModelSource
from infer.vllm.client import ServedModel, VllmEngine

TRAINED = "The following actions are required: \n1. Lift the red puck\n<progress>41.72%</progress>."
BASE = "The picture shows a robot arm on a table with a red puck."


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> Path:
    folder = Path(make_adapter(tmp_path_factory.mktemp("probe") / "adapter", 1, WindowSpec(size=2, stride=1)))
    frames = [np.full((70, 90, 3), value, dtype=np.uint8) for value in (10, 200)]
    write_pictures(folder, frames, [(64, 96)] * 2, 3)
    same = {"prompt": "q", "trained": "x", "reloaded": "x", "base": "x"}
    asked = {"prompt": "What is left?", "trained": TRAINED, "reloaded": TRAINED, "base": BASE}
    asked["pictures"] = ["probe/00.png", "probe/01.png"]
    (folder / "reload_parity.json").write_text(json.dumps({"probes": [same, asked]}))
    return folder


def engine_that_answers(monkeypatch, answer: str) -> list[dict]:
    """Let every server have an adapter that answers so; returns the requests."""
    requests: list[dict] = []

    def request(self, path, body=None):
        if body is None:
            return {"data": [{"id": "base"}, {"id": "adapter"}]}
        requests.append(body)
        return {"choices": [{"message": {"content": answer}}]}

    monkeypatch.setattr(VllmEngine, "_request", request)
    return requests


def test_a_server_with_the_adapter_passes(adapter, monkeypatch):
    near = TRAINED.replace("41.72", "41.70")  # another number type
    requests = engine_that_answers(monkeypatch, near)
    VllmEngine(ServedModel(ModelSource(str(adapter), use_lora=True)))
    assert len(requests) == 1


def test_a_server_that_ignores_the_adapter_is_refused(adapter, monkeypatch):
    requests = engine_that_answers(monkeypatch, BASE)
    with pytest.raises(ModelError, match=r'answers the probe of the adapter as the base does \("The picture shows'):
        VllmEngine(ServedModel(ModelSource(str(adapter), use_lora=True)))
    (request,) = requests
    assert request["temperature"] == 0 and request["max_tokens"] == 64
    *pictures, text = request["messages"][0]["content"]
    assert len(pictures) == 2 and text["text"] == "What is left?"


def test_a_base_is_not_asked_and_an_adapter_without_probe_is_said(adapter, monkeypatch, tmp_path, capsys):
    requests = engine_that_answers(monkeypatch, BASE)
    VllmEngine(ServedModel(ModelSource(str(NANO))))
    VllmEngine(ServedModel(ModelSource(make_adapter(tmp_path / "old", 1, WindowSpec(size=2, stride=1)), use_lora=True)))
    assert not requests and "has no probe (version 0.1 and FSDP write none)" in capsys.readouterr().out


def test_pictures_are_those_that_the_model_saw(adapter, tmp_path):
    probe = read_probe(adapter)
    assert [frame.shape for frame in probe.frames] == [(64, 96, 3)] * 2 and probe.frames[1].mean() == 200
    assert read_probe(tmp_path) is None
    (tmp_path / "reload_parity.json").write_text('{"probes": [{"pictures": ["probe/00.png"]}]}')
    with pytest.raises(ModelError, match=r"reload_parity.json is damaged"):
        read_probe(tmp_path)
