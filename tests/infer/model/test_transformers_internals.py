"""The private parts of transformers are used in one file; it names the version that is installed."""

import ast
import re
from importlib.metadata import version

import pytest
from material import ROOT

from infer.model import transformers_internals

HOME = ROOT / "infer" / "model" / "transformers_internals.py"
FOLDERS = ("annotate", "dataset", "infer", "train", "recipes", "benchmarks", "tests")
PRIVATE = ("_attn_implementation", "_commit_hash", "get_rope_index", "mm_encoder_outputs", "smart_resize")


def other_files():
    return [
        path
        for folder in FOLDERS
        for path in (ROOT / folder).glob("**/*.py")
        if path not in (HOME, ROOT / "tests/infer/model/test_transformers_internals.py")
    ]


def test_nothing_else_imports_private_modules():
    for path in other_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("transformers.models"), path
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith("transformers.models"), path


@pytest.mark.parametrize("name", PRIVATE)
def test_private_names_have_one_home(name):
    assert name in HOME.read_text(encoding="utf-8")
    for path in other_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Attribute) and node.attr == name), path
            assert not (isinstance(node, ast.Constant) and node.value == name), path


def test_every_part_names_the_version_that_is_installed():
    checked = re.search(r"Checked against transformers (\S+)\.\n", transformers_internals.__doc__).group(1)
    assert version("transformers") == checked
    assert f"transformers=={checked}\n" in (ROOT / "constraints.txt").read_text(encoding="utf-8")
    tree = ast.parse(HOME.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            assert checked in ast.get_docstring(node), node.name
