"""Every command in the README, CONTRIBUTING and the recipes is parsed; the Python of the documents runs."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from made_adapter import make_adapter
from material import DEMO, ROOT
from shown_commands import TARGETS, check_command, checked_commands, commands_of

from dataset.video import VideoReader
from dataset.window import WindowSpec

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "recipes").glob("*.yaml"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_is_parsed(path):
    assert checked_commands(path.read_text(encoding="utf-8")) > 0


def test_commands_that_are_wrong_are_found():
    for wrong in ("make nothing", "make lora ANOTATIONS=a.json", "python -m infer --windowsize 8", "python nowhere.py"):
        assert commands_of(f"`{wrong}`") == [wrong]
        with pytest.raises(AssertionError):
            check_command(wrong)


def test_the_makefile_says_what_is_missing():
    for target, variable in (("annotate", "VIDEO"), ("infer", "MODEL"), ("report", "MODEL"), ("merge", "MODEL")):
        command = ["make", "-n", "-o", ".venv/.installed", target]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 2 and f"{variable} is missing, for example: make {target}" in result.stderr


def test_make_alone_lists_every_target():
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {line.split()[1] for line in listed} == TARGETS
    assert all(len(line.split()) > 2 for line in listed)


def test_named_files_exist():
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)|`((?:recipes|infer|dataset|train|docs|tests)/[\w./]+)`", README):
        name = path[0] or path[1]
        assert (ROOT / name).exists(), name


def test_the_readme_is_short():
    lines = README.splitlines()
    assert len(lines) <= 250
    assert lines.index("5. **Evaluate** on episodes that you annotated and did not train on:") < 30  # the first screen


def test_links_inside_the_page_have_a_heading():
    headings = [re.sub(r"[^\w -]", "", heading) for heading in re.findall(r"^#+ (.+)$", README, re.MULTILINE)]
    anchors = {heading.strip().lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(#([^)]+)\)", README):
        assert target in anchors


def test_the_tree_names_every_folder():
    tree = README.split("## The tree")[1].split("## ")[0]
    for folder in sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")):
        made = folder in ("runs", "wandb", "build", "shared", "node_modules")
        if not made and not folder.endswith((".egg-info", "__pycache__")):
            assert f"    {folder}/" in tree, folder


def test_the_prompt_shown_is_the_prompt_used():
    from dataset.prompts import build_completion, build_prompt

    shown = " ".join(README.split())
    task = "Pick up the red puck and bring it to the blue goal marker"
    assert " ".join(build_prompt(task).split()) in shown
    answer = build_completion(41.72, ("Lift the red puck off the table", "Carry the red puck to the blue goal marker"))
    assert " ".join(answer.split()) in shown


def test_the_annotation_shown_is_the_bundled_one():
    assert (ROOT / "recipes" / "demo" / "demo.json").read_text(encoding="utf-8").strip() in README


class Environment:
    """Frames of a bundled episode, as a simulator that renders them."""

    def __init__(self) -> None:
        self._frames = iter(VideoReader(DEMO / "held_out" / "success_1.mp4").frames(range(4)))
        self._left = 3

    def reset(self) -> None:
        pass

    def render(self) -> np.ndarray:
        return next(self._frames)

    def step(self, action: None) -> tuple:
        self._left -= 1
        return None, 0.0, self._left == 0, False, {}


@pytest.mark.slow
def test_the_python_shown_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    task = "Pick up the red puck and bring it to the blue goal marker"
    adapter = make_adapter(tmp_path / "adapter", 1, WindowSpec(8, rate_hz=6.25), task=task)
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "python_api.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(blocks) == 2
    record, live = (block.replace("runs/demo/adapter", str(Path(adapter))) for block in blocks)
    names: dict = {}
    exec(record.replace("use_lora=True,", "use_lora=True, max_sampled_frames=2, max_new_tokens=8,"), names)
    assert len(names["rewards"]) == 2
    names = {"env": Environment(), "policy": lambda observation: None, "observation": None}
    exec(live, names)
    assert isinstance(names["reward"], float)
