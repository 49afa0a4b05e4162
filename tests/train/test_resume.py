"""Interrupted runs end with the very weights of an uninterrupted one, wherever they were interrupted."""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
from material import DEMO, ROOT

from train.recipe import read_recipe
from train.run_folder import RunFolder, mark_complete, seconds_of

STEPS = 12
SHORT = [
    f"data.annotations=[{DEMO / 'demo.json'}]", "data.sampling.every=6", f"sft.max_steps={STEPS}",
    "sft.save_strategy=steps", "sft.save_steps=3", "sft.logging_steps=1", "sft.per_device_train_batch_size=4",
    "lora.lora_dropout=0.1",
]  # fmt: skip
EVALUATED = [
    "evaluation.held_out_share=0.02", "evaluation.every_steps=4", "evaluation.metric=mae", "evaluation.patience=3",
    "sft.max_steps=8",
]  # fmt: skip


def train(output: Path, resume: bool, extra: tuple[str, ...]) -> None:
    """Run in a process of its own, where Ctrl-C counts: a shell starts background jobs with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from train.lora import train_lora

    torch.set_num_threads(1)
    train_lora(read_recipe(ROOT / "recipes" / "nano.yaml", [*SHORT, f"sft.output_dir={output}", *extra]), resume=resume)


@pytest.fixture(scope="module")
def start():
    """Start a training process; the libraries are loaded once, in a server that forks the processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train.lora"])

    def start(output: Path, resume: bool = False, extra: tuple[str, ...] = ()):
        process = context.Process(target=train, args=(output, resume, tuple(extra)))
        process.start()
        return process

    return start


@pytest.fixture(scope="module")
def uninterrupted(start, tmp_path_factory):
    """Return the weights and the evaluations of runs that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")

    def result(name: str, extra: tuple[str, ...] = ()):
        if not (folder / name).exists():
            process = start(folder / name, extra=extra)
            process.join()
            assert process.exitcode == 0
        return outcome(folder / name)

    return result


def outcome(adapter: Path):
    summary = json.loads((adapter / "train_summary.json").read_text())
    return (adapter / "adapter_model.safetensors").read_bytes(), summary["evaluations"], summary["best_step"]


def interrupt(process, output: Path, number: signal.Signals, steps: int, delay: float) -> None:
    """Send a signal some time after the run has logged step `steps`, wherever it then is."""
    log = RunFolder(output).partial / "training_log.jsonl"
    while (
        process.is_alive()
        and steps
        and (not log.exists() or json.loads(log.read_text().splitlines()[-1])["step"] < steps)
    ):
        time.sleep(0.01)
    time.sleep(delay)
    if process.is_alive():
        os.kill(process.pid, number)
    process.join()


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_weights(start, uninterrupted, tmp_path):
    seed = random.randrange(10**6)
    draw = random.Random(seed)
    output, moments = tmp_path / "adapter", []
    for steps in (0, draw.randrange(2, 6), draw.randrange(7, STEPS)):
        moments.append((steps, draw.uniform(0.0, 0.5)))
        interrupt(start(output, resume=True), output, signal.SIGKILL, *moments[-1])
    process = start(output, resume=True)
    process.join()
    assert process.exitcode == 0, (seed, moments)
    assert outcome(output) == uninterrupted("plain"), (seed, moments)
    assert not RunFolder(output).partial.exists()


@pytest.mark.slow
def test_stopped_politely_it_saves_and_ends_with_the_same_weights_and_evaluations(start, uninterrupted, tmp_path):
    output = tmp_path / "adapter"
    for number, steps in ((signal.SIGINT, 2), (signal.SIGTERM, 6)):
        process = start(output, resume=True, extra=EVALUATED)
        interrupt(process, output, number, steps, 0.0)
        assert process.exitcode != 0
        checkpoint = RunFolder(output).last_checkpoint()
        assert int(checkpoint.name.split("-")[1]) >= steps  # the very step, not the last one of save_steps
    process = start(output, resume=True, extra=EVALUATED)
    process.join()
    assert process.exitcode == 0
    assert outcome(output) == uninterrupted("evaluated", EVALUATED)
    summary = json.loads((output / "train_summary.json").read_text())
    rows = [json.loads(line) for line in (output / "training_log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert summary["resumed_from_step"] and summary["mean_loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-3)


def test_the_seconds_of_a_run_are_those_of_all_its_parts(tmp_path):
    mark_complete(tmp_path, 12.34)
    assert seconds_of(tmp_path) == 12.3 and seconds_of(None) == 0


def test_an_interrupted_run_is_not_thrown_away_in_silence(tmp_path):
    run = RunFolder(tmp_path / "adapter")
    recipe = read_recipe(ROOT / "recipes" / "nano.yaml", [*SHORT, f"sft.output_dir={run.output}"])
    run.open(recipe, {}, resume=False)
    with pytest.raises(ValueError, match="holds an interrupted run; add --resume"):
        run.check(overwrite=False, resume=False)
    run.check(overwrite=True, resume=False)
    with pytest.raises(ValueError, match="give one of them"):
        run.check(overwrite=True, resume=True)


def test_a_run_is_continued_by_its_own_recipe_only(tmp_path):
    run = RunFolder(tmp_path / "adapter")
    settings = [*SHORT, f"sft.output_dir={run.output}"]
    run.open(read_recipe(ROOT / "recipes" / "nano.yaml", settings), {}, resume=False)
    run.refuse_changes(read_recipe(ROOT / "recipes" / "nano.yaml", settings), {})
    with pytest.raises(ValueError, match=r"started with another recipe \(- r: 16; \+ r: 8\)"):
        run.refuse_changes(read_recipe(ROOT / "recipes" / "nano.yaml", [*settings, "lora.r=8"]), {})


def test_a_checkpoint_that_was_cut_off_is_not_continued_from(tmp_path):
    run = RunFolder(tmp_path / "adapter")
    recipe = read_recipe(ROOT / "recipes" / "nano.yaml", [*SHORT, f"sft.output_dir={run.output}"])
    run.open(recipe, {}, resume=False)
    for name, complete in (("checkpoint-3", True), ("checkpoint-12", True), ("checkpoint-15", False)):
        (run.partial / name).mkdir()
        if complete:
            (run.partial / name / "complete").touch()
    assert run.open(recipe, {}, resume=True) == run.partial / "checkpoint-12"
    assert not (run.partial / "checkpoint-15").exists()


def test_a_swap_that_was_cut_off_is_finished_or_undone(tmp_path):
    run = RunFolder(tmp_path / "adapter")
    earlier = tmp_path / "adapter.earlier"
    earlier.mkdir()
    assert run.already_complete() and run.output.exists()  # killed before the new one was complete: the earlier is back
    run.partial.mkdir()
    (run.partial / "train_summary.json").write_text("{}")
    assert run.already_complete()
    assert (run.output / "train_summary.json").exists() and not run.partial.exists()


def test_an_error_keeps_what_can_be_continued(tmp_path):
    run = RunFolder(tmp_path / "adapter")
    recipe = read_recipe(ROOT / "recipes" / "nano.yaml", [*SHORT, f"sft.output_dir={run.output}"])
    for with_checkpoint in (False, True):
        run.open(recipe, {}, resume=False)
        if with_checkpoint:
            (run.partial / "checkpoint-3").mkdir()
            (run.partial / "checkpoint-3" / "complete").touch()
        with pytest.raises(RuntimeError), run.filled():
            raise RuntimeError
        assert run.partial.exists() is with_checkpoint
