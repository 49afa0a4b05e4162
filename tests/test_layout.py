"""The direction of imports: dataset <- annotate; dataset <- infer <- train."""

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest
from material import ROOT

from dataset.command_line import onetake_version

ALLOWED = {
    "dataset": {"dataset"},
    "annotate": {"annotate", "dataset"},
    "infer": {"infer", "dataset"},
    "train": {"train", "infer", "dataset"},
}
ONLY_THERE = {  # libraries that one file owns
    "av": {"dataset/ffmpeg.py", "infer/overlay/render.py"},
    "decord": {"dataset/video.py"},
    "gradio": {"annotate/app.py"},
    "peft": {"infer/model/model.py", "train/configs.py"},
    "trl": {"train/configs.py", "train/trainer.py"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package):
    for path in (ROOT / package).glob("**/*.py"):
        ours = imported(path) & set(ALLOWED)
        assert ours <= ALLOWED[package], f"{path} imports {ours - ALLOWED[package]}"


def test_dataset_never_imports_torch():
    for path in (ROOT / "dataset").glob("**/*.py"):
        assert not imported(path) & {"torch", "transformers", "peft", "trl"}, path


@pytest.mark.parametrize("library", ONLY_THERE)
def test_libraries_have_one_home(library):
    homes = {
        str(path.relative_to(ROOT))
        for package in ALLOWED
        for path in (ROOT / package).glob("**/*.py")
        if library in imported(path)
    }
    assert homes <= ONLY_THERE[library]


def test_formats_are_imported_by_their_commands_only():
    """Converters belong to `python -m dataset.convert`, conversations to `python -m dataset --export`."""
    importers: dict[str, set[str]] = {}
    for package in ALLOWED:
        for path in (ROOT / package).glob("**/*.py"):
            name = str(path.relative_to(ROOT))
            if not name.startswith("dataset/formats/"):
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dataset.formats"):
                        importers.setdefault(node.module, set()).add(name)
    assert importers.pop("dataset.formats.conversations") == {"dataset/__main__.py"}
    assert set().union(*importers.values()) == {"dataset/convert.py"}
    top = {node.module for node in ast.parse((ROOT / "dataset/__main__.py").read_text(encoding="utf-8")).body
           if isinstance(node, ast.ImportFrom)}  # fmt: skip
    assert "dataset.formats.conversations" not in top


def test_only_the_model_file_loads_weights():
    for package in ALLOWED:
        for path in (ROOT / package).glob("**/*.py"):
            if path.name != "model.py":
                assert ".from_pretrained(" not in path.read_text(encoding="utf-8"), path


def test_nothing_branches_on_the_embedded_model():
    for package in ("dataset", "train", "infer"):
        for path in (ROOT / package).glob("**/*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.If | ast.IfExp | ast.Match):
                    test = node.subject if isinstance(node, ast.Match) else node.test
                    assert "nano" not in ast.unparse(test), path


def test_no_module_needs_a_package_that_some_platforms_lack():
    """decord has wheels for Linux on x86-64 only; an import inside a function can say so, one at the top cannot."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [*project["dependencies"], *(need for extra in ("cuda", "sim") for need in _extra(project, extra))]
    lacking = {re.match(r"[\w-]+", need).group() for need in optional if ";" in need} | {"flash_attn", "metaworld"}
    assert {"decord", "bitsandbytes"} <= lacking
    for package in ALLOWED:
        for path in (ROOT / package).glob("**/*.py"):
            top = ast.Module(ast.parse(path.read_text(encoding="utf-8")).body, [])
            names = {alias.name for node in top.body if isinstance(node, ast.Import) for alias in node.names}
            names |= {node.module or "" for node in top.body if isinstance(node, ast.ImportFrom)}
            assert not {name.split(".")[0] for name in names} & lacking, path


def _extra(project: dict, name: str) -> list[str]:
    return project["optional-dependencies"][name]


def test_the_version_stands_in_one_place():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d\S*)\]", changes, re.MULTILINE)[0] == version
    assert onetake_version() == version
    for package in ALLOWED:
        for path in (ROOT / package).glob("**/*.py"):
            assert f'"{version}"' not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_are_this_checkout_and_export_what_they_say(package):
    module = importlib.import_module(package)
    assert Path(module.__file__).parent == ROOT / package
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
