import itertools
import json

import pytest
from made_adapter import make_adapter
from material import NANO

from dataset.window import WindowSpec
from infer.model.errors import ModelError
from infer.model.source import ModelSource
from infer.vllm.server import main, make_parser, server_command


def test_the_command_names_base_adapter_and_rank(tmp_path):
    folder = make_adapter(tmp_path / "a", 1, WindowSpec(size=2, stride=1))
    command = server_command(ModelSource(folder, True, torch_dtype="float32"), port=8100, extra=("--enforce-eager",))
    assert command[:5] == [".venv-vllm/bin/python", "-m", "vllm.entrypoints.openai.api_server", "--model", str(NANO)]
    text = " ".join(command)
    assert f"--enable-lora --lora-modules adapter={folder} --max-lora-rank 8" in text
    assert "--dtype float32" in text
    assert "--host 127.0.0.1 --port 8100" in text and text.endswith("--enforce-eager")


def flags(command):
    return dict(itertools.pairwise(command))


def test_the_server_has_room_for_one_window_and_answers_greedily(tmp_path):
    folder = make_adapter(tmp_path / "a", 1, WindowSpec(size=2, stride=1), max_pixels=4096)
    given = flags(server_command(ModelSource(folder, True)))
    assert given["--limit-mm-per-prompt"] == '{"image": 2}'
    assert given["--mm-processor-kwargs"] == '{"size": {"shortest_edge": 1024, "longest_edge": 4096}}'
    assert given["--generation-config"] == "vllm"  # not the base's own sampling
    assert given["--max-model-len"] == str(2 * (4096 // 1024 + 2) + 1024)


def test_a_base_has_the_pixels_of_the_recipes(tmp_path, capsys):
    given = flags(server_command(ModelSource("some/hub-id"), window_size=4))  # not on this machine
    assert given["--max-model-len"] == str(4 * (262144 // 1024 + 2) + 1024)
    assert '"longest_edge": 262144' in given["--mm-processor-kwargs"]
    assert "some/hub-id: pictures are reduced to 262144 pixels" in capsys.readouterr().out
    assert '"longest_edge": 16384' in flags(server_command(ModelSource(str(NANO))))["--mm-processor-kwargs"]
    given = flags(server_command(ModelSource("some/hub-id", max_pixels=65536)))
    assert '"longest_edge": 65536' in given["--mm-processor-kwargs"]
    assert given["--max-model-len"] == str(8 * (65536 // 1024 + 2) + 1024)


def test_arguments_of_the_user_replace_ours():
    command = server_command(ModelSource(str(NANO)), extra=("--max_model_len=77", "--dtype", "half"))
    assert "--max-model-len" not in command and command.count("--dtype") == 1
    assert command[-3:] == ["--max_model_len=77", "--dtype", "half"]


def test_the_base_of_this_checkout_is_found_from_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(NANO) in server_command(ModelSource("recipes/nano/model"))


def test_adapters_that_vllm_would_run_wrongly_are_refused(tmp_path):
    visual = make_adapter(tmp_path / "v", 1, WindowSpec(size=2, stride=1), targets=["qkv"])
    with pytest.raises(ModelError, match="vLLM would ignore those weights"):
        server_command(ModelSource(visual, use_lora=True))
    text = make_adapter(tmp_path / "t", 1, WindowSpec(size=2, stride=1))
    config = tmp_path / "t" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "r": 600}))
    with pytest.raises(ModelError, match="rank 600; vLLM takes at most 512"):
        server_command(ModelSource(text, use_lora=True))
    with pytest.raises(ModelError, match="add --use_lora"):
        server_command(ModelSource(text))


def test_a_missing_environment_is_refused(tmp_path):
    arguments = make_parser().parse_args(["--model_path", str(NANO), "--python", str(tmp_path / "python")])
    with pytest.raises(ModelError, match="`make vllm` makes that environment"):
        main(arguments)
