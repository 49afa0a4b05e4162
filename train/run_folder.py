"""The folder of a run: written beside its final place, moved there when complete, continued after an interruption.

Knows folders, checkpoints and signals; does not know what is trained.

    runs/NAME/adapter.partial/   while the run goes on, and after an interruption: checkpoints, curves
    runs/NAME/adapter/           the complete adapter; appears in one step at the end
    runs/NAME/.adapter.lock      locked while a process trains there
"""

from __future__ import annotations

import difflib
import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from dataset.files import write_text_atomically
from infer.model.adapter_folder import INPUTS, RECIPE, TRAIN_SUMMARY
from train.recipe import Recipe, read_recipe, save_recipe
from train.run_inputs import Inputs, changed_inputs

COMPLETE = "complete"  # in a checkpoint: all of its files are there; it holds the seconds of the run so far


class RunFolder:
    """The folder that a run writes to, and what an earlier run left there.

    Args:
        output: The adapter folder, `sft.output_dir`.
        writes: Whether this process writes the folder; True in the first process of a run only.

    Attributes:
        output: The adapter folder.
        partial: The folder that the run writes to until it is complete.
    """

    def __init__(self, output: str | Path, writes: bool = True) -> None:
        self.output, self.writes = Path(output), writes
        self.partial = self.output.with_name(self.output.name + ".partial")
        self._earlier = self.output.with_name(self.output.name + ".earlier")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder inside the block; refuse a folder that another one works on."""
        if not self.writes:
            yield
            return
        path = self.output.with_name(f".{self.output.name}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(
                f"another process is training into {self.output}; wait for it, or choose another sft.output_dir"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def already_complete(self) -> bool:
        """Finish an interrupted move; return whether the adapter is complete and nothing is left to do."""
        if self.writes and (self.partial / TRAIN_SUMMARY).exists():
            self._swap_in()
        elif self.writes and self._earlier.exists() and not self.output.exists():
            self._earlier.rename(self.output)
        return self.output.exists() and not self.partial.exists()

    def check(self, overwrite: bool, resume: bool) -> None:
        """Refuse to replace an adapter or an interrupted run without a flag."""
        if overwrite and resume:
            raise ValueError("--overwrite starts over and --resume continues; give one of them")
        if overwrite or resume or not self.writes:
            return
        if self.output.exists():
            raise ValueError(
                f"{self.output} exists already; choose another sft.output_dir, or add --overwrite to replace it"
            )
        if self.partial.exists():
            raise ValueError(
                f"{self.partial} holds an interrupted run; add --resume to continue it, or --overwrite to start over"
            )

    def refuse_changes(self, recipe: Recipe, inputs: Inputs) -> None:
        """Refuse to resume what was started with another recipe, or on other data or another base.

        Args:
            recipe: The recipe of this run.
            inputs: What this run reads (`train.run_inputs.describe_inputs`).

        Raises:
            ValueError: Something differs; the message names it.
        """
        folder = self.partial if self.partial.exists() else self.output
        if not (folder / RECIPE).exists():
            return
        _refuse_another_recipe(folder, recipe)
        path = folder / INPUTS
        if not path.exists():
            if folder == self.output:  # complete, of version 0.1: nothing is trained on other data
                print(f"warning: {folder} holds no {INPUTS} (version 0.1 wrote none); only its recipe was compared")
                return
            raise ValueError(
                f"{folder} holds no {INPUTS}, so that nobody knows which data it was started on (version 0.1 wrote "
                "none); use --overwrite to start over"
            )
        try:
            changed = changed_inputs(json.loads(path.read_text(encoding="utf-8")), inputs)
        except (OSError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is damaged ({error}); use --overwrite to start over") from None
        if changed:
            raise ValueError(
                f"{folder} was trained on other inputs: {', '.join(changed)} changed since; undo the change, or use "
                "--overwrite to start over"
            )

    def open(self, recipe: Recipe, inputs: Inputs, resume: bool) -> Path | None:
        """Prepare the folder and return the checkpoint to continue from; None starts at the first step."""
        if not self.writes:
            return self.last_checkpoint()
        if not resume or not (self.partial / RECIPE).exists():
            shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True, exist_ok=True)
        save_recipe(self.partial / RECIPE, recipe)
        write_text_atomically(self.partial / INPUTS, json.dumps(inputs, indent=2, ensure_ascii=False) + "\n")
        for folder in self._checkpoints():
            if not (folder / COMPLETE).exists():  # cut off while it was written
                shutil.rmtree(folder)
        return self.last_checkpoint()

    def last_checkpoint(self) -> Path | None:
        """Return the newest complete checkpoint."""
        complete = [folder for folder in self._checkpoints() if (folder / COMPLETE).exists()]
        return complete[-1] if complete else None

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Move the folder to its place at the end of the block; after an error keep it only if it can be continued."""
        try:
            yield
        except BaseException:
            if self.writes and self.last_checkpoint() is None:
                shutil.rmtree(self.partial, ignore_errors=True)
            raise
        if self.writes:
            self._swap_in()

    def _swap_in(self) -> None:
        for folder in self._checkpoints():
            shutil.rmtree(folder)
        if self.output.exists():
            shutil.rmtree(self._earlier, ignore_errors=True)
            self.output.rename(self._earlier)
        self.partial.rename(self.output)
        shutil.rmtree(self._earlier, ignore_errors=True)

    def _checkpoints(self) -> list[Path]:
        checkpoints = [folder for folder in self.partial.glob("checkpoint-*") if folder.name.split("-")[-1].isdigit()]
        return sorted(checkpoints, key=lambda folder: int(folder.name.split("-")[-1]))


def _refuse_another_recipe(folder: Path, recipe: Recipe) -> None:
    before = (folder / RECIPE).read_text(encoding="utf-8")
    with suppress(ValueError):  # else an earlier version wrote it: keys that are new have their defaults in both
        before = OmegaConf.to_yaml(OmegaConf.create(asdict(read_recipe(folder / RECIPE))))
    now = OmegaConf.to_yaml(OmegaConf.create(asdict(recipe)))
    changed = [
        line
        for line in difflib.ndiff(before.splitlines(), now.splitlines())
        if line.startswith(("- ", "+ ")) and line[2:].strip()
    ]
    if changed:
        difference = "; ".join(" ".join(line.split()) for line in changed[:6])
        raise ValueError(
            f"{folder} was started with another recipe ({difference}); use the command that started it, or --overwrite "
            "to start over"
        )


def mark_complete(checkpoint: Path, seconds: float) -> None:
    """Mark a checkpoint as completely written after so many seconds of training; a run continues from no other."""
    write_text_atomically(checkpoint / COMPLETE, f"{seconds:.1f}\n")


def step_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def seconds_of(checkpoint: Path | None) -> float:
    """Return the seconds that a run had taken when it wrote a checkpoint; 0 without one."""
    return float((checkpoint / COMPLETE).read_text(encoding="utf-8") or 0) if checkpoint else 0.0


class Interruption:
    """Ctrl-C and SIGTERM as a wish to stop after the step that runs; a second one stops at once.

    Attributes:
        signal_number: The signal that came to this process, or None.
        stopped: Whether the run stopped for a signal, to this process or to another of the same run.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self.stopped = False

    @contextmanager
    def listening(self) -> Iterator[Interruption]:
        """Handle the two signals inside the block (main thread only) and restore the earlier handlers after it.

        A signal that this process was started to ignore (`nohup`, a shell's `&`) stays ignored.
        """
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        earlier = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}

        def note(number: int, frame: object) -> None:
            self.signal_number = number
            for each, handler in earlier.items():
                signal.signal(each, handler)
            print(f"\n{signal.Signals(number).name}: saving after this step; once more stops at once", flush=True)

        for number in earlier:
            signal.signal(number, note)
        try:
            yield self
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)
