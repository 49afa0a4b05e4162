"""Write a comparison: reports in, `compare.json`, `compare.md` and `compare.html` out.

    python -m infer.report --compare runs/*/report.json --output runs/compare

Knows the order of the work and the files; the rest of the folder knows how.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dataset.files import write_text_atomically
from dataset.inputs import find_reports
from infer.report.compare.comparison import Comparison, compare, read_run, run_names
from infer.report.compare.page import render_comparison
from infer.report.compare.table import as_document, as_markdown, as_text


def compare_reports(paths: Sequence[str | Path], output: str | Path) -> Comparison:
    """Read reports, print their table and write the comparison into a folder.

    Raises:
        ValueError: A file is missing or no report; the message names it.
    """
    paths = find_reports(paths)
    comparison = compare([read_run(path, name) for path, name in zip(paths, run_names(paths), strict=True)])
    output = Path(output)
    write_text_atomically(output / "compare.json", json.dumps(as_document(comparison), indent=2) + "\n")
    write_text_atomically(output / "compare.md", as_markdown(comparison))
    write_text_atomically(output / "compare.html", render_comparison(comparison))
    print(as_text(comparison))
    print(f"comparison: {output / 'compare.html'}")
    return comparison
