"""The configurations of PEFT and TRL: wrong values are refused by name before anything is read or encoded."""

import pytest
import torch
from material import ROOT

from train.callbacks import TrainingError, refuse_untrained
from train.configs import build_configs
from train.recipe import read_recipe
from train.trl_internals import use_one_gpu


def configs(tmp_path, *overrides):
    wanted = ("data.annotations=[a.json]", f"sft.output_dir={tmp_path / 'adapter'}", *overrides)
    return build_configs(read_recipe(ROOT / "recipes" / "nano.yaml", wanted), tmp_path)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sft.learning_rate=abc", "`sft.learning_rate` is 'abc', but float is needed"),
        ("sft.num_train_epochs=abc", "`sft.num_train_epochs` is 'abc', but float is needed"),
        ("sft.max_steps=two", "`sft.max_steps` is 'two', but int is needed"),
        ("sft.max_steps=2.5", "`sft.max_steps` is 2.5, but int is needed"),
        ("sft.max_steps=true", "`sft.max_steps` is True, but int is needed"),
        ("sft.seed=x", "`sft.seed` is 'x', but int is needed"),
        ("sft.bf16=maybe", "`sft.bf16` is 'maybe', but bool is needed"),
        ("sft.report_to=5", "`sft.report_to` is 5, but str or list is needed"),
        ("sft.lr_scheduler_type=foo", "foo"),
        ("lora.r=eight", "`lora.r` is 'eight', but int is needed"),
        ("lora.bias=some", "`lora.bias` is 'some', but none or all or lora_only is needed"),
        ("lora.r=0", "`lora.r` is 0; it must be above 0"),
        ("sft.num_train_epochs=0", "`sft.num_train_epochs` is 0.0; it must be above 0"),
        ("sft.learning_rate=0", "`sft.learning_rate` is 0.0; it must be above 0"),
        ("sft.per_device_train_batch_size=0", "`sft.per_device_train_batch_size` is 0; it must be above 0"),
        ("lora.target_modules=[q_proj,lm_head]", "lora.target_modules names lm_head, which cannot learn here"),
        ("sft.max_steps=0", "`sft.max_steps` is 0; use 1 or more"),
    ],
)
def test_a_value_of_the_wrong_type_or_range_is_refused_by_name(tmp_path, override, message):
    with pytest.raises(ValueError, match="recipe: ") as caught:
        configs(tmp_path, override)
    assert message in str(caught.value)


def test_values_are_read_as_their_fields_need_them(tmp_path):
    lora, sft = configs(tmp_path, "sft.save_strategy=no", "sft.learning_rate='1e-4'", "lora.lora_dropout=0")
    assert sft.save_strategy == "no"
    assert sft.learning_rate == 1e-4
    assert lora.lora_dropout == 0.0


def test_one_of_several_gpus_is_chosen_and_named(tmp_path, capsys):
    _, sft = configs(tmp_path)
    sft._n_gpu = 2
    use_one_gpu(sft)
    assert sft.n_gpu == 1
    assert "2 GPUs are visible; training on" in capsys.readouterr().out
    use_one_gpu(sft)
    assert not capsys.readouterr().out


def test_an_adapter_that_learned_nothing_is_an_error():
    model = torch.nn.Module()
    model.layer = torch.nn.ModuleDict({"lora_A": torch.nn.ModuleDict({"default": torch.nn.Linear(2, 2, bias=False)})})
    model.layer["lora_B"] = torch.nn.ModuleDict({"default": torch.nn.Linear(2, 2, bias=False)})
    second = model.layer["lora_B"]["default"].weight
    refuse_untrained(model, 3)
    torch.nn.init.zeros_(second)
    with pytest.raises(TrainingError, match="nothing was learned in 3 steps"):
        refuse_untrained(model, 3)
