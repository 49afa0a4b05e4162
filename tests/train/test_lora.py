"""A run with everything switched on, on the embedded base: what the folder holds, and what is refused."""

import json

import numpy as np
import pytest
import torch
import yaml
from material import DEMO, NANO, ROOT, TASK, make_annotation, write_video

from dataset.annotation_file import read_annotation, write_annotation
from infer.model.adapter_folder import base_of_adapter
from infer.model.errors import ModelError
from infer.model.model import ProgressModel
from infer.model.source import ModelSource
from train.adapter_writer import save_adapter
from train.callbacks import TrainingError, base_checksums
from train.collate import WindowCollator, image_token_counts, needed_frames, refuse_long_samples, token_counts
from train.cost import estimate_cost, format_cost
from train.features import prepare_frames
from train.lora import train_lora
from train.merge import merge_adapter
from train.per_task import recipes_by_task, train_each
from train.recipe import FeaturesSection, read_recipe
from train.reload_check import bare_base, check_reload, take_probes
from train.training_data import hold_out_frames, read_training_data

HELD_OUT = DEMO / "held_out" / "success_1.json"
TOKENS_PER_FRAME = 16  # of the embedded base: 128 x 128 pixels, 16 x 16 a patch, four patches a token


def recipe(output, *overrides: str):
    return read_recipe(
        ROOT / "recipes" / "nano.yaml",
        [
            f"data.annotations=[{DEMO / 'demo.json'}]", f"sft.output_dir={output}", "data.sampling.every=9",
            "sft.max_steps=4", "sft.logging_steps=1", "sft.per_device_train_batch_size=4", *overrides,
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One short run with held-out episodes, best checkpoint and features on disk."""
    folder = tmp_path_factory.mktemp("run")
    output = folder / "adapter"
    train_lora(
        recipe(
            output, f"evaluation.annotations=[{HELD_OUT}]", "evaluation.every_steps=2", "evaluation.metric=mae",
            "evaluation.max_sampled_frames=3", "features.memory_gb=0", f"features.cache={folder / 'cache'}",
        )
    )  # fmt: skip
    return output


@pytest.mark.slow
def test_the_folder_is_complete(run):
    for name in (
        "adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "recipe.yaml", "progress_config.json",
        "samples.jsonl", "training_log.jsonl", "curves.png", "held_out.png", "README.md", "reload_parity.json",
        "train_summary.json", "evaluations/step-000000/success_1.jsonl", "evaluations/step-000004/success_1.jsonl",
    ):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert not list(run.glob("checkpoint-*")) and not run.with_name("adapter.partial").exists()


@pytest.mark.slow
def test_the_summary_says_where_it_comes_from_and_what_it_reached(run):
    summary = json.loads((run / "train_summary.json").read_text())
    assert summary["steps"] == 4 and summary["base_model"] == "recipes/nano/model"
    assert summary["data"] == [
        {
            "annotation": "demo.json",
            "video": "demo.mp4",
            "fingerprint": read_annotation(DEMO / "demo.json").fingerprint,
            "task": read_annotation(DEMO / "demo.json").task,
            "cameras": {},
            "labels": "linear",
        }
    ]
    assert [row["step"] for row in summary["evaluations"]] == [0, 2, 4]
    best = min(summary["evaluations"][1:], key=lambda row: row["mae"])
    assert summary["best_step"] == best["step"]
    assert summary["versions"]["peft"] and summary["window"] == {"size": 8, "rate_hz": 6.25, "padding": "repeat_first"}
    parity = json.loads((run / "reload_parity.json").read_text())
    assert parity["logit_difference"] == summary["reload_logit_difference"] == 0.0
    assert all(probe["trained"] == probe["reloaded"] for probe in parity["probes"]) and len(parity["probes"]) == 4


@pytest.mark.slow
def test_no_path_of_this_machine_is_in_what_is_shared(run):
    for name in ("adapter_config.json", "README.md", "train_summary.json", "progress_config.json"):
        assert str(ROOT) not in (run / name).read_text(), name


@pytest.mark.slow
def test_evaluation_shows_what_inference_shows(run):
    """The last evaluation's predictions are those of the kept adapter, read by the command's own code."""
    from infer.predict import infer_progress_from_video
    from infer.records import read_records

    summary = json.loads((run / "train_summary.json").read_text())
    during = read_records(run / "evaluations" / f"step-{summary['best_step']:06d}" / "success_1.jsonl")
    after = infer_progress_from_video(
        str(run), during[0]["video_path"], during[0]["task"], use_lora=True, max_sampled_frames=3
    )
    assert [r["model_output"] for r in after] == [r["model_output"] for r in during]


@pytest.mark.slow
def test_the_card_is_in_the_hubs_format(run):
    _, front, body = (run / "README.md").read_text().split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["library_name"] == "peft" and "base_model" not in metadata  # a folder is no hub id
    assert "![Held-out predictions against the labels](held_out.png)" in body
    assert "| 0 |" in body and "the best by `mae`" in body


@pytest.mark.slow
def test_merging_gives_a_base_that_answers_like_the_adapter(run, tmp_path):
    from dataset.prompts import build_prompt
    from dataset.video import VideoReader
    from infer.decoding.answers import answer_windows

    assert merge_adapter(run, tmp_path / "merged") < 1e-3
    merged = ProgressModel.load(ModelSource(str(tmp_path / "merged")))
    adapted = ProgressModel.load(ModelSource(str(run), use_lora=True))
    frames = VideoReader(DEMO / "demo.mp4").frames([10, 60, 100])
    answers = [
        answer_windows(m, [[one] for one in m.encode_frames(frames)], build_prompt(TASK)) for m in (merged, adapted)
    ]
    assert answers[0] == answers[1]
    with pytest.raises(ValueError, match="exists already"):
        merge_adapter(run, tmp_path / "merged")
    with pytest.raises(ValueError, match="holds no LoRA adapter"):
        merge_adapter(NANO, tmp_path / "other")


@pytest.mark.slow
def test_a_reloaded_adapter_that_differs_is_refused(tmp_path, nano):
    """Fault D1: what is on disk must be what was trained."""
    from peft import LoraConfig, get_peft_model

    base = ProgressModel.load(ModelSource(str(NANO)))
    before = base_checksums(base.model)
    data = read_training_data(recipe(tmp_path / "x"))
    frames = prepare_frames(base, needed_frames(data.samples), FeaturesSection())
    base.model = get_peft_model(base.model, LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    base.model.eval()
    save_adapter(base, tmp_path / "saved", recipe(tmp_path / "x"), data)
    with torch.no_grad():
        next(w for n, w in base.model.named_parameters() if "lora_B" in n).add_(0.3)  # trained on after saving
    collator = WindowCollator(base, frames)
    probes = take_probes(base, collator, data.samples)
    with pytest.raises(ModelError, match=r"answers differently than the trained model"):
        check_reload(base, before, probes, collator, tmp_path / "saved")
    base = bare_base(base)
    with torch.no_grad():
        next(base.model.parameters()).add_(1.0)
    with pytest.raises(ModelError, match="weights of the base changed during training"):
        check_reload(base, before, probes, collator, tmp_path / "saved")


@pytest.mark.slow
def test_lora_on_the_vision_tower_encodes_in_the_step_and_says_so(tmp_path, capsys):
    output = train_lora(recipe(tmp_path / "adapter", "lora.target_modules=[q_proj,qkv]", "sft.max_steps=2"))
    assert "LoRA changes the vision tower (6 weights" in capsys.readouterr().out
    config = json.loads((output / "adapter_config.json").read_text())
    assert config["target_modules"] == ["q_proj", "qkv"]
    assert json.loads((output / "train_summary.json").read_text())["reload_logit_difference"] == 0.0
    weights = dict(ProgressModel.load(ModelSource(str(NANO))).with_adapter(output).model.named_parameters())
    moved = [n for n, w in weights.items() if "visual" in n and "lora_B" in n and w.abs().max() > 0]
    assert len(moved) == 3
    merge_adapter(output, tmp_path / "merged")  # how it is used: inference encodes frames once for base and adapters
    assert ProgressModel.load(ModelSource(str(tmp_path / "merged"))).progress_config.tasks


@pytest.mark.slow
def test_bfloat16_with_gradient_checkpointing_reloads_exactly(tmp_path):
    """The trainer's autocast is not part of the model: what it trained answers like what is loaded."""
    output = train_lora(
        recipe(tmp_path / "adapter", "sft.bf16=true", "sft.gradient_checkpointing=true", "sft.max_steps=2")
    )
    summary = json.loads((output / "train_summary.json").read_text())
    assert (summary["torch_dtype"], summary["reload_logit_difference"]) == ("bfloat16", 0.0)


def test_the_base_is_named_with_its_revision(tmp_path, nano):
    from peft import LoraConfig, get_peft_model

    base = ProgressModel.load(ModelSource(str(NANO)))
    adapted = get_peft_model(base.model, LoraConfig(target_modules=["q_proj"]))
    model = ProgressModel(adapted, base.tokenizer, base.image_processor, "org/base@c0ffee")
    named = recipe(tmp_path / "x", "model=org/base@c0ffee")
    save_adapter(model, tmp_path / "adapter", named, read_training_data(named))
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/base", "c0ffee")  # PEFT's and vLLM's fields
    assert base_of_adapter(tmp_path / "adapter") == "org/base@c0ffee"


@pytest.mark.slow
def test_one_adapter_per_task_with_one_load_of_the_base(tmp_path, video, monkeypatch):
    second = tmp_path / "second.mp4"
    second.write_bytes(video.read_bytes())
    write_annotation(tmp_path / "second.json", make_annotation(second, 10, 30))
    loads = []
    real = ProgressModel.load.__func__
    monkeypatch.setattr(ProgressModel, "load", classmethod(lambda cls, *a, **k: loads.append(a) or real(cls, *a, **k)))
    both = f"data.annotations=[{DEMO / 'demo.json'},{tmp_path / 'second.json'}]"
    folders = train_each(recipe(tmp_path / "tasks", both))
    assert len(loads) == 1
    assert [folder.name for folder in folders] == [
        "pick-up-the-red-puck-and-bring-it-to-the-blue-goal-marker", "put-the-red-block-into-the-bin",
    ]  # fmt: skip
    alone = train_lora(recipe(tmp_path / "alone", f"data.annotations=[{tmp_path / 'second.json'}]"))
    weights = [(folder / "adapter_model.safetensors").read_bytes() for folder in (folders[1], alone)]
    assert weights[0] == weights[1]  # the first task left nothing behind
    assert train_each(recipe(tmp_path / "tasks", both), resume=True) == folders  # complete ones are left as they are


def test_tasks_of_one_folder_name_are_told_apart(tmp_path):
    video = write_video(tmp_path / "v.mp4", 12)
    for name, task in (("a", "Open it!"), ("b", "open it?")):
        from dataclasses import replace

        write_annotation(tmp_path / f"{name}.json", replace(make_annotation(video, 10), task=task))
    annotations = f"data.annotations=[{tmp_path / 'a.json'},{tmp_path / 'b.json'}]"
    with pytest.raises(ValueError, match='"Open it!" and "open it\\?" would share the folder'):
        recipes_by_task(recipe(tmp_path, annotations))


@pytest.mark.slow
def test_the_cost_is_known_before(tmp_path):
    short = recipe(tmp_path / "adapter", "sft.max_steps=-1", "sft.num_train_epochs=3")
    cost = estimate_cost(short)
    data = read_training_data(short)
    assert cost.samples == len(data.samples)
    assert cost.steps == 3 * -(-len(data.samples) // 4)
    assert cost.frames == len({i for s in data.samples for i in s.window_frame_indices})
    assert cost.image_tokens == sum(TOKENS_PER_FRAME * len(s.window_frame_indices) for s in data.samples)
    assert 0 < cost.seconds_per_step * cost.steps <= cost.seconds
    assert cost.trainable_parameters < cost.parameters
    assert "steps" in format_cost(cost) and not (tmp_path / "adapter").exists()


def test_long_samples_are_refused_with_their_numbers(nano, tmp_path):
    samples = read_training_data(recipe(tmp_path)).samples
    tokens = image_token_counts(nano, needed_frames(samples))
    longest = max(token_counts(nano, samples, tokens))
    collator = WindowCollator(nano, prepare_frames(nano, needed_frames(samples), FeaturesSection()))
    assert collator([vars(s) for s in samples])["input_ids"].shape[1] == longest  # counted as they will be
    refuse_long_samples(nano, samples, longest)
    with pytest.raises(
        ValueError, match=rf"of {len(samples)} samples are longer than sft.max_length = {longest - 1}"
    ) as caught:
        refuse_long_samples(nano, samples, longest - 1)
    assert f"8 images x {TOKENS_PER_FRAME} tokens" in str(caught.value)
    assert "Lower data.window.size" in str(caught.value)


def test_held_out_frames_come_from_every_stage(video):
    annotation = make_annotation(video, 10, 30)  # stages of 10 and 20 frames, 10 finished ones
    assert hold_out_frames(annotation, 0.2) == (2, 7, 12, 17, 22, 27, 32, 37)
    assert hold_out_frames(annotation, 0.01) == (5, 20, 35)  # at least one of each


def test_held_out_frames_are_not_trained_on(tmp_path):
    data = read_training_data(recipe(tmp_path, "evaluation.held_out_share=0.1", "data.sampling.every=1"))
    judged = {t for episode in data.held_out for t in episode.frames}
    assert judged and not judged & {sample.frame_index for sample in data.samples}


def test_an_episode_is_not_trained_on_and_judged(tmp_path):
    with pytest.raises(ValueError, match="trained on proves nothing"):
        read_training_data(recipe(tmp_path, f"evaluation.annotations=[{DEMO / 'demo.json'}]"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["lora.target_modules=[q_prj]"], "matches no module of the base; the language model has down_proj, "),
        (["lora.rank=4"], "unknown key `lora.rank`"),
        (["sft.learning_rat=1"], "unknown key `sft.learning_rat`; did you mean `learning_rate`?"),
        (["sft.eval_steps=3"], "`sft.eval_steps` is set; use the section `evaluation`"),
        (["sft.packing=true"], "`sft.packing` is True; it must be False here"),
        (["sft.max_length=100"], "longer than sft.max_length = 100 tokens"),
        (["model=nobody/nothing"], 'base model "nobody/nothing" cannot be loaded'),
        (["load_in_4bit=true"], "4 bits need an NVIDIA GPU"),
        (["sft.fsdp=full_shard"], "sft.fsdp needs GPUs"),
        (["sft.learning_rate=1e30", "sft.warmup_steps=0"], "the loss is not finite at step"),
    ],
)
def test_bad_input_is_one_clear_message(tmp_path, overrides, message):
    with pytest.raises(ValueError) as caught:
        train_lora(recipe(tmp_path / "adapter", *overrides))
    assert message in str(caught.value)
    assert not (tmp_path / "adapter").exists() and not (tmp_path / "adapter.partial").exists()


@pytest.mark.slow
def test_a_nan_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    import train.trainer

    real = train.trainer.ProgressTrainer.compute_loss

    def breaking(self, *args, **kwargs):
        loss = real(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 3 else loss

    monkeypatch.setattr(train.trainer.ProgressTrainer, "compute_loss", breaking)
    output = tmp_path / "adapter"
    with pytest.raises(TrainingError, match=r"at step 4 .*the last good one is kept in .*checkpoint-2"):
        train_lora(recipe(output, "sft.save_strategy=steps", "sft.save_steps=2"))
    kept = ProgressModel.load(ModelSource(str(NANO))).with_adapter  # the checkpoint is a readable adapter
    from safetensors.torch import load_file

    weights = load_file(output.with_name("adapter.partial") / "checkpoint-2" / "adapter_model.safetensors")
    assert kept and all(np.isfinite(w.numpy()).all() for w in weights.values())


@pytest.mark.slow
def test_reports_work_without_an_account(tmp_path, monkeypatch, capsys):
    import wandb

    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")
    output = train_lora(
        recipe(
            tmp_path / "adapter", "sft.report_to=[wandb,tensorboard]", "sft.max_steps=1", "sft.warmup_steps=0",
            "evaluation.held_out_share=0.02", "evaluation.every_steps=1",
        )
    )  # fmt: skip
    wandb.finish()  # writes what its own process still holds
    assert f"logging offline to {tmp_path / 'wandb'}" in capsys.readouterr().out
    (run_file,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    content, plot = run_file.read_bytes(), b"held_out/predicted_against_label"
    for name in (b"held_out/answers", plot, b"eval/cycle_voc", b"adapter_model.safetensors"):
        assert name in content, name
    (events,) = (output / "tensorboard").rglob("events.out.tfevents.*")
    assert plot in events.read_bytes()
