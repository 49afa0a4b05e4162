"""Write docs/tree.md, every source file with the first sentence of its docstring: python tests/file_tree.py

A test compares the page with what this program makes.
"""

from __future__ import annotations

import ast

from material import ROOT

PAGE = ROOT / "docs" / "tree.md"
FOLDERS = (
    "dataset", "dataset/formats", "annotate", "annotate/page", "infer", "infer/model", "infer/decoding",
    "infer/metrics",
    "infer/report", "infer/report/compare", "infer/overlay", "infer/vllm", "train", "train/rehearsal", "recipes/demo",
    "recipes/nano", "benchmarks", "tests",
)  # fmt: skip
HEAD = """\
# Every file, with what it knows

The direction of imports is `annotate -> dataset`, `infer -> dataset`, `train -> infer, dataset`; a test enforces it.
This page is made from the files: `python tests/file_tree.py` writes it, and a test compares.
"""


def render() -> str:
    """Return the page."""
    parts = [HEAD]
    for folder in FOLDERS:
        rows = []
        for path in sorted((ROOT / folder).iterdir()):
            if path.suffix == ".py" and (about := _docstring(path.read_text(encoding="utf-8"))):
                rows.append(f"| `{path.name}` | {about} |")
            elif path.suffix == ".js":
                rows.append(f"| `{path.name}` | {_comment(path.read_text(encoding='utf-8'))} |")
        parts.append("\n".join([f"## {folder}/\n", "| file | what |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _docstring(source: str) -> str:
    text = ast.get_docstring(ast.parse(source)) or ""
    return _in_a_cell(text.split("\n\n")[0])


def _comment(source: str) -> str:
    lines = source.splitlines()
    count = next((n for n, line in enumerate(lines) if not line.startswith("//")), len(lines))
    return _in_a_cell(" ".join(line.removeprefix("//").strip() for line in lines[:count]))


def _in_a_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
