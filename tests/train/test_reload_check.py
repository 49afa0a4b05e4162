"""What is trained must be what is on disk, in every number type, and merging must change no answer."""

import json

import pytest
import torch
from material import DEMO, NANO, ROOT
from peft import LoraConfig, get_peft_model

from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.source import ModelSource
from train.adapter_writer import save_adapter, write_summary
from train.callbacks import TrainingError, base_checksums, refuse_changed_base
from train.collate import WindowCollator, needed_frames
from train.features import prepare_frames
from train.lora import train_lora
from train.merge import merge_adapter
from train.recipe import FeaturesSection, read_recipe
from train.reload_check import PARITY_TOLERANCE, check_reload, parity_tolerance, take_probes
from train.training_data import read_training_data


def recipe(output, *overrides: str):
    return read_recipe(
        ROOT / "recipes" / "nano.yaml",
        [f"data.annotations=[{DEMO / 'demo.json'}]", f"sft.output_dir={output}", "data.sampling.every=19", *overrides],
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return read_training_data(recipe(tmp_path_factory.mktemp("data") / "x"))


def adapted(**lora) -> tuple[ProgressModel, dict[str, int]]:
    """Return the embedded base with an adapter of random weights, and the base's checksums."""
    base = ProgressModel.load(ModelSource(str(NANO)))
    before = base_checksums(base.model)
    torch.manual_seed(0)
    base.model = get_peft_model(base.model, LoraConfig(r=4, init_lora_weights=False, **lora)).eval()
    return base, before


@pytest.mark.slow
def test_an_adapter_that_the_trainer_cast_to_bfloat16_reloads(tmp_path, data):
    """On a base in 4 bits TRL trains the adapter in bfloat16."""
    model, before = adapted(target_modules=["q_proj", "v_proj"])
    for name, weight in model.model.named_parameters():
        if ".lora_" in name:
            weight.data = weight.data.to(torch.bfloat16)
    save_adapter(model, tmp_path / "saved", recipe(tmp_path / "x"), data)
    collator = WindowCollator(model, prepare_frames(model, needed_frames(data.samples), FeaturesSection()))
    probes = take_probes(model, collator, data.samples)
    assert probes.tolerance > PARITY_TOLERANCE
    assert check_reload(model, before, probes, collator, tmp_path / "saved") == 0.0
    row = json.loads((tmp_path / "saved" / "reload_parity.json").read_text())["probes"][0]
    assert row["trained"] == row["reloaded"] and row["pictures"][0] == "probe/00.png"


def test_the_tolerance_is_that_of_the_coarsest_number_type():
    model = torch.nn.Linear(2, 2)
    assert parity_tolerance(model, 20.0) == PARITY_TOLERANCE
    model.bias.data = model.bias.data.bfloat16()
    assert parity_tolerance(model, 20.0) == 4 * 2**-7 * 20


@pytest.mark.slow
def test_logits_are_kept_of_the_answer_only_and_on_the_cpu(data):
    model, _ = adapted(target_modules=["q_proj"])
    collator = WindowCollator(model, prepare_frames(model, needed_frames(data.samples), FeaturesSection()))
    shapes = []
    forward = model.base.lm_head.forward
    model.base.lm_head.forward = lambda hidden: shapes.append(hidden.shape[:-1]) or forward(hidden)
    probes = take_probes(model, collator, data.samples)
    for sample, logits in zip(probes.samples, probes.logits, strict=True):
        answer = len(model.tokenizer(sample.completion)["input_ids"]) + 1  # and the end token
        assert logits.shape[0] == answer + 1 and (1, answer + 1) in shapes
    assert max(rows * length for rows, length in shapes) < 100  # a sample has 200 positions


@pytest.mark.parametrize("name", ["pissa", "olora", "pissa_niter_2"])
def test_initialisations_that_change_the_base_are_refused(name):
    base = ProgressModel.load(ModelSource(str(NANO)))
    before = base_checksums(base.model)
    model = get_peft_model(base.model, LoraConfig(r=4, init_lora_weights=name, target_modules=["q_proj"]))
    with pytest.raises(TrainingError, match=rf"lora.init_lora_weights is {name}, which changes wei"):
        refuse_changed_base(before, model, name)


@pytest.mark.slow
def test_they_are_refused_before_a_frame_is_encoded(tmp_path, monkeypatch):
    monkeypatch.setattr("train.lora.prepare_frames", lambda *_: pytest.fail("frames were encoded"))
    with pytest.raises(TrainingError, match=r"lora.init_lora_weights is pissa"):
        train_lora(recipe(tmp_path / "adapter", "lora.init_lora_weights=pissa"))


@pytest.mark.parametrize("name", [True, "gaussian", "orthogonal"])
def test_others_leave_it_as_it_is(name):
    base = ProgressModel.load(ModelSource(str(NANO)))
    before = base_checksums(base.model)
    model = get_peft_model(base.model, LoraConfig(r=4, init_lora_weights=name, target_modules=["q_proj"]))
    refuse_changed_base(before, model, name)


@pytest.mark.filterwarnings("ignore:.*tie_word_embeddings")
@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
def test_an_adapter_of_tied_embeddings_is_not_merged(tmp_path, data):
    model, _ = adapted(target_modules=["embed_tokens"])
    save_adapter(model, tmp_path / "saved", recipe(tmp_path / "x"), data)
    write_summary(tmp_path / "saved", recipe(tmp_path / "x"), data, SUMMARY)
    with pytest.raises(ModelError, match=r"answers differently than base and adapter .* use it with --use_lora"):
        merge_adapter(tmp_path / "saved", tmp_path / "merged")
    assert not list(tmp_path.glob("merged*"))


SUMMARY = {
    "seconds": 1.0, "steps": 1, "samples": 1, "mean_loss": None, "base_revision": None, "torch_dtype": "float32",
    "reload_logit_difference": 0.0, "evaluations": [], "best_step": None, "processes": 1, "trainable_parameters": 1,
    "resumed_from_step": None,
}  # fmt: skip


def test_a_model_that_is_an_adapter_is_refused_before_its_data_are_read(tmp_path, data, monkeypatch):
    model, _ = adapted(target_modules=["q_proj"])
    save_adapter(model, tmp_path / "saved", recipe(tmp_path / "x"), data)
    monkeypatch.setattr("train.lora.read_training_data", lambda *_: pytest.fail("data were read"))
    with pytest.raises(ModelError, match=r"recipe: model is .*saved, which is a LoRA adapter; .* model=recipes/nano/m"):
        train_lora(recipe(tmp_path / "adapter", f"model={tmp_path / 'saved'}"))


@pytest.mark.parametrize("folder", ["nothing", "base"])
def test_merging_another_folder_names_the_remedy(tmp_path, folder):
    path = NANO if folder == "base" else tmp_path / "nothing"
    with pytest.raises(ModelError, match=r"holds no LoRA adapter .*; (name the folder|it is a base model)"):
        merge_adapter(path, tmp_path / "merged")
