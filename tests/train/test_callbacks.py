from types import SimpleNamespace

import pytest
import torch
from material import DEMO, ROOT

from train.callbacks import (
    SaveOnSignal,
    TrainingError,
    base_checksums,
    full_disk_explained,
    memory_explained,
    refuse_dead_modules,
)
from train.recipe import read_recipe
from train.run_folder import Interruption, RunFolder, mark_complete

A, B = "base_model.model.x.q_proj.lora_A.default.weight", "base_model.model.x.q_proj.lora_B.default.weight"


def recipe(*overrides: str):
    return read_recipe(ROOT / "recipes" / "nano.yaml", [f"data.annotations=[{DEMO / 'demo.json'}]", *overrides])


def test_one_matrix_of_a_pair_may_start_without_gradient():
    refuse_dead_modules({A: torch.zeros(2), B: torch.tensor([0.0, 1e-30])})


def test_a_module_that_would_never_learn_is_named():
    other = A.replace("q_proj", "k_proj")
    with pytest.raises(TrainingError, match=r"1 of 2 LoRA modules got a zero gradient .*base_model.model.x.k_proj\)"):
        refuse_dead_modules({A: torch.zeros(2), B: torch.ones(2), other: torch.zeros(2)})


def test_a_missing_gradient_is_named_with_its_remedy():
    with pytest.raises(TrainingError, match=r"lora_A.default.weight got no gradient .*use_reentrant=false"):
        refuse_dead_modules({A: None, B: torch.ones(2)})


def test_checksums_see_one_bit_and_no_adapter():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2))
    before = base_checksums(model)
    assert base_checksums(model) == before
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nextafter(model[0].weight[0, 0], torch.tensor(9.0))
    assert {name for name, value in base_checksums(model).items() if value != before[name]} == {"0.weight"}
    assert base_checksums(torch.nn.ModuleDict({"q": torch.nn.ModuleDict({"lora_A": model})})) == {}


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_names_what_to_lower(error):
    with pytest.raises(TrainingError) as caught, memory_explained(recipe("image.max_pixels=9216")):
        raise error
    message = str(caught.value)
    assert "sft.per_device_train_batch_size (8; raise sft.gradient_accumulation_steps" in message
    assert "image.max_pixels (9216)" in message and "data.window.size (8)" in message
    assert "sft.gradient_checkpointing=true" in message  # the recipe has it off


def test_another_error_passes_as_it_is():
    with pytest.raises(RuntimeError, match=r"^shapes$"), memory_explained(recipe()):
        raise RuntimeError("shapes")


@pytest.mark.parametrize("error", [RuntimeError("[enforce fail at inline_container.cc:672]"), OSError(28, "No space")])
def test_a_full_disk_is_named_with_what_is_kept(tmp_path, monkeypatch, error):
    run = RunFolder(str(tmp_path / "adapter"), writes=True)
    with pytest.raises(type(error)), full_disk_explained(run):
        raise error
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=4096))
    with pytest.raises(TrainingError, match=r"no space is left .*nothing was saved yet"), full_disk_explained(run):
        raise error
    (run.partial / "checkpoint-3").mkdir(parents=True)
    mark_complete(run.partial / "checkpoint-3", 1.5)
    with pytest.raises(TrainingError, match=r"step 3 is kept.*--resume"), full_disk_explained(run):
        raise error


@pytest.mark.parametrize(("step", "saves", "logs"), [(3, False, False), (3, True, True), (12, False, True)])
def test_the_loss_is_logged_with_every_checkpoint_and_at_the_end(tmp_path, step, saves, logs):
    control = SimpleNamespace(should_save=saves, should_log=False, should_training_stop=False)
    callback = SaveOnSignal(RunFolder(tmp_path / "adapter"), Interruption(), 0.0)
    arguments = SimpleNamespace(device=torch.device("cpu"))
    callback.on_step_end(arguments, SimpleNamespace(global_step=step, max_steps=12), control)
    assert control.should_log is logs
