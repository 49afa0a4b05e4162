"""The vLLM engine against a server that only pretends, and, by `make test-vllm`, against vLLM itself."""

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from made_adapter import make_adapter
from material import DEMO, NANO, ROOT
from PIL import Image
from safetensors.torch import load_file, save_file

from dataset.video import VideoReader
from dataset.window import WindowSpec
from infer.decoding.settings import Decoding
from infer.model.errors import ModelError
from infer.model.source import ModelSource
from infer.predict import infer_progress_from_video
from infer.vllm.client import ServedModel, VllmEngine

TASK = "Pick up the red puck and bring it to the blue goal marker"
VIDEO = DEMO / "demo.mp4"


class Pretender(BaseHTTPRequestHandler):
    """Answers with the number of pictures in a request, and keeps the requests."""

    requests: list[dict] = []  # noqa: RUF012 - shared by all requests on purpose
    models: list[dict] = [{"id": "base"}]  # noqa: RUF012
    reply: object = None  # in place of an answer

    def do_GET(self):
        self._reply({"data": self.models})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.requests.append(body)
        if self.reply is not None:
            return self._reply(self.reply)
        pictures = sum(part["type"] == "image_url" for part in body["messages"][0]["content"])
        self._reply({"choices": [{"message": {"content": f"1. x\n<progress>{pictures}%</progress>"}}]})

    def _reply(self, document):
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Pretender.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Pretender) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def served(server, name="base", folder=str(NANO), use_lora=False):
    return VllmEngine(ServedModel(ModelSource(folder, use_lora), server, name))


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"choices": []}, r"replies without a choice: \{\"choices\": \[\]\}; see the log"),
        (
            {"choices": [{"message": {"content": None}, "finish_reason": "length"}]},
            "content is null, finish_reason length",
        ),
        ({"choices": [{"finish_reason": "stop"}]}, "replies without a choice"),
        ({"error": {"message": "out of memory", "code": 500}}, "refuses the request: out of memory"),
        ({"object": "error", "message": "no such model"}, "refuses the request: no such model"),
        ([], "which no vLLM server does"),
    ],
)
def test_replies_without_an_answer_are_one_clear_line(server, monkeypatch, reply, message):
    engine = served(server)
    monkeypatch.setattr(Pretender, "reply", reply)
    with pytest.raises(ModelError, match=message) as raised:
        engine.answer([["data:x"]], "q", Decoding())
    assert "\n" not in str(raised.value) and server in str(raised.value)


def test_a_server_without_a_list_of_models_is_said(server, monkeypatch):
    monkeypatch.setattr(Pretender, "models", None)
    with pytest.raises(ModelError, match="lists no models"):
        served(server)


def test_a_server_that_has_not_the_adapter_is_refused(server, monkeypatch, tmp_path):
    ours, other = (
        make_adapter(tmp_path / name, seed, WindowSpec(size=2, stride=1)) for seed, name in ((1, "a"), (2, "b"))
    )
    base = {"id": "base", "root": str(NANO), "parent": None}
    given = {}

    def lists(**adapter):
        given.update(adapter)
        monkeypatch.setattr(Pretender, "models", [base, {"id": "adapter", **adapter}])

    lists(root=str(NANO), parent=None)  # the base under the adapter's name
    with pytest.raises(ModelError, match=r"is a model without an adapter .* would answer as the base does"):
        served(server, "adapter", ours, True)
    lists(root=other, parent="base")
    with pytest.raises(ModelError, match=re.escape(f"is the adapter {other}, not {ours}")):
        served(server, "adapter", ours, True)
    lists(root=ours, parent="base")
    assert served(server, "adapter", ours, True).name == "adapter"
    lists(root="/on/another/machine", parent="base")
    assert served(server, "adapter", ours, True).name == "adapter"
    with pytest.raises(ModelError, match=r"is an adapter .* but a base is asked for"):
        served(server, "adapter")
    assert served(server).name == "base"


def test_a_server_with_another_base_is_refused(server, monkeypatch, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(NANO, other)
    weights = load_file(other / "model.safetensors")
    weights["model.language_model.norm.weight"] = weights["model.language_model.norm.weight"] + 1
    save_file(weights, other / "model.safetensors")
    adapter = make_adapter(tmp_path / "a", 1, WindowSpec(size=2, stride=1))
    rows = [{"id": "base", "root": str(other), "parent": None}, {"id": "adapter", "root": adapter, "parent": "base"}]
    monkeypatch.setattr(Pretender, "models", rows)
    with pytest.raises(ModelError, match="has other weights than"):
        served(server)
    with pytest.raises(ModelError, match="was trained on other weights than those of"):
        served(server, "adapter", adapter, True)
    monkeypatch.setattr(Pretender, "models", [{"id": "base", "root": "/on/another/machine"}])
    assert served(server).name == "base"
    assert "cannot be checked here" in capsys.readouterr().out


def test_sampled_answers_have_a_seed_per_window(server):
    for batch_size in (1, 3):
        Pretender.requests.clear()
        infer_progress_from_video(
            str(NANO), VIDEO, TASK, window_size=1, window_stride=2, max_sampled_frames=3, engine="vllm", server=server,
            temperature=1.0, seed=5, batch_size=batch_size,
        )  # fmt: skip
        assert sorted(request["seed"] for request in Pretender.requests) == [5, 59, 112]


def test_every_window_is_one_request_with_its_frames_in_order(server):
    records = infer_progress_from_video(
        str(NANO), VIDEO, TASK, window_size=3, window_stride=2, max_sampled_frames=4, engine="vllm", server=server
    )
    assert [record["progress"] for record in records] == [3.0] * 4
    assert [record["frame_index"] for record in records] == [0, 36, 71, 107]
    content = Pretender.requests[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 3 + ["text"]
    assert Pretender.requests[0]["temperature"] == 0.0


def test_pictures_are_those_that_transformers_sees(server, nano):
    frame = VideoReader(VIDEO).frame(40)
    url = VllmEngine(ServedModel(ModelSource(str(NANO)), server)).picture(frame)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))
    ours, sent = nano.preprocess([frame]), nano.preprocess([picture])
    assert (ours["image_grid_thw"] == sent["image_grid_thw"]).all()
    np.testing.assert_array_equal(ours["pixel_values"].numpy(), sent["pixel_values"].numpy())


def test_what_the_server_cannot_answer_is_refused(server):
    with pytest.raises(ModelError, match=r'no model "adapter", only base'):
        VllmEngine(ServedModel(ModelSource(str(NANO)), server, name="adapter"))
    with pytest.raises(ModelError, match=r"no vLLM server answers at .*python -m infer\.vllm"):
        VllmEngine(ServedModel(ModelSource(str(NANO)), "http://127.0.0.1:9"))
    with pytest.raises(ModelError, match="use --engine transformers"):
        infer_progress_from_video(str(NANO), VIDEO, TASK, engine="vllm", server=server, readout="expected")
    with pytest.raises(ModelError, match='engine "x" is unknown'):
        infer_progress_from_video(str(NANO), VIDEO, TASK, engine="x")


@pytest.fixture
def vllm(tmp_path):
    """A vLLM server with the embedded base and an adapter, started by our own command; its URL and the adapter."""
    python = os.environ.get("ONETAKE_VLLM")
    if not python:
        pytest.skip("vLLM lives in an environment of its own; `make test-vllm` runs this")
    adapter = make_adapter(tmp_path / "adapter", 7, WindowSpec(size=4, stride=3))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "infer.vllm", "--model_path", adapter, "--use_lora", "--python", python, "--port",
        str(port), "--torch_dtype", "float32", "--vllm_args=--max-model-len 1024 --enforce-eager",
    ]  # fmt: skip
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _ in range(300):
                assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                except OSError:
                    time.sleep(1)
            yield f"http://127.0.0.1:{port}", adapter
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.slow
def test_vllm_gives_the_records_of_transformers_for_base_and_adapter(vllm):
    server, adapter = vllm
    records = {}
    for path, use_lora in ((str(NANO), False), (adapter, True)):
        options = {"use_lora": use_lora, "max_sampled_frames": 16, "max_new_tokens": 40}
        ours = infer_progress_from_video(path, VIDEO, TASK, **options)
        theirs = infer_progress_from_video(path, VIDEO, TASK, engine="vllm", server=server, **options)
        for one, other in zip(ours, theirs, strict=True):
            for name in one.keys() - {"progress", "progress_source"}:  # vLLM does not fill in a tag that is missing
                assert one[name] == other[name], name
        records[use_lora] = ours
    assert [r["model_output"] for r in records[False]] != [r["model_output"] for r in records[True]]
