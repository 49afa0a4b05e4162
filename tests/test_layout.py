"""The direction of imports: dataset <- annotate; dataset <- infer <- train."""

import ast
import graphlib
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
    "decord": {"dataset/decord_frames.py"},
    "gradio": {"annotate/app.py"},
    "peft": {"infer/model/adapter_weights.py", "train/configs.py"},
    "trl": {"train/configs.py", "train/trainer.py", "train/trl_internals.py"},
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


def modules() -> dict[str, Path]:
    """Return every module of the packages with its file; a folder is named by its `__init__.py`."""
    found = {}
    for package in ALLOWED:
        for path in (ROOT / package).glob("**/*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_between_modules() -> dict[str, set[str]]:
    """Return which module imports which, at the top or inside a function; imports for type checkers do not count."""
    files = modules()
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        checked = [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ]
        ignored = {id(inner) for node in checked for inner in ast.walk(node)}
        graph[name] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and id(node) not in ignored:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                targets = {target if target in files else node.module for target in whole}
                graph[name] |= {target for target in targets if target in files and target != name}
            elif isinstance(node, ast.Import) and id(node) not in ignored:
                graph[name] |= {alias.name for alias in node.names if alias.name in files}
    return graph


def test_files_import_each_other_in_one_direction():
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())
    list(graphlib.TopologicalSorter(imports_between_modules()).static_order())  # a CycleError names the files


MOST_PARAMETERS = 8
OF_PROCVLM = {"infer_progress_from_video"}  # keeps the keyword arguments of ProcVLM's function


def test_public_functions_take_few_parameters():
    """Settings that go together are dataclasses; those may have as many fields as they need."""
    counts = {}
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = len([argument for argument in arguments if argument.arg not in ("self", "cls")])
                counts[f"{path.relative_to(ROOT)}:{node.name}"] = count
    crowded = {name: count for name, count in counts.items() if count > MOST_PARAMETERS}
    assert {name for name in crowded if name.split(":")[1] not in OF_PROCVLM} == set()


@pytest.mark.parametrize("library", ONLY_THERE)
def test_libraries_have_one_home(library):
    homes = {
        str(path.relative_to(ROOT))
        for package in ALLOWED
        for path in (ROOT / package).glob("**/*.py")
        if library in imported(path)
    }
    assert homes <= ONLY_THERE[library]


OF_ONE_COMMAND = {  # folders and files that nothing but their own command imports
    "dataset.formats.conversations": {"dataset.__main__"},
    "dataset.formats": {"dataset.convert"},
    "train.rehearsal": {"train.enough"},
    "infer.report.compare": {"infer.report.__main__"},
}


def test_side_wings_are_imported_by_their_own_command_only():
    graph = imports_between_modules()
    importers: dict[str, set[str]] = {name: set() for name in OF_ONE_COMMAND}
    for name, targets in graph.items():
        for target in targets:
            wing = next((wing for wing in OF_ONE_COMMAND if f"{target}.".startswith(f"{wing}.")), None)
            if wing and not f"{name}.".startswith(f"{wing.removesuffix('.conversations')}."):
                importers[wing].add(name)
    assert importers == OF_ONE_COMMAND


def test_a_check_does_not_load_the_export():
    body = ast.parse((ROOT / "dataset/__main__.py").read_text(encoding="utf-8")).body
    top = {node.module for node in body if isinstance(node, ast.ImportFrom)}
    assert "dataset.formats.conversations" not in top


def test_two_files_load_weights():
    for package in ALLOWED:
        for path in (ROOT / package).glob("**/*.py"):
            if path.name not in ("loaded_base.py", "adapter_weights.py"):
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
