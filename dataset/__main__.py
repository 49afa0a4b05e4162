"""`python -m dataset`: check annotated demonstrations, turn them into samples, and look at these."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from dataset.budget import read_token_budget
from dataset.check import check_files
from dataset.command_line import add_video_backend, run_command
from dataset.demonstration import read_demonstrations, update_video_paths
from dataset.files import refuse_overwriting
from dataset.finding import Finding
from dataset.inputs import find_annotations
from dataset.preview import write_preview
from dataset.recipe import load_document, read_data_section
from dataset.sample_file import checked_sample_path, to_dataset, write_samples
from dataset.samples import build_sample_set
from dataset.video import set_default_backend

EPILOG = """\
examples:
  python -m dataset data/demo.json --check
      errors and warnings about one annotated demonstration; exit status 2 when there are errors
  python -m dataset data/demo.json --config recipes/oneshot.yaml --output data/samples.jsonl
      the samples that this recipe trains on, as JSON lines (or Parquet: --output data/samples.parquet);
      from dataset import read_samples; read_samples("data/samples.jsonl").push_to_hub("me/my-samples")
  python -m dataset data/demo.json --config recipes/oneshot.yaml --preview data/samples.html
      one page with windows, questions, answers and label curves; it needs no network
  python -m dataset data/demo.json --config recipes/oneshot.yaml --export data/conversations
      pictures and conversations.jsonl for training elsewhere

labels:
  A stage's share of 100 % follows its length (the longest at most 5/3 of the shortest), or the "weight" that its
  annotation gives it. A failure has the steps and shares of a success of its task: name both files together.
"""


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "annotations",
        nargs="*",
        help="annotations (files, folders, quoted globs); overrides go last: data.sampling.every=2",
    )
    parser.add_argument("--config", help="recipe whose `data` section is used (default: see docs/recipe.md)")
    parser.add_argument("--videos", action="append", default=[], help="folder to search for videos that have moved")
    parser.add_argument(
        "--update_videos", action="store_true", help="write the new paths of moved videos into the annotations"
    )
    parser.add_argument("--check", action="store_true", help="only check; exit 2 when there are errors")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    add_video_backend(parser)
    parser.add_argument("--output", help="file of samples to write, .jsonl or .parquet; replaced if it exists")
    parser.add_argument("--preview", metavar="HTML", help="page of samples to write; replaced if it exists")
    parser.add_argument("--export", metavar="FOLDER", help="folder for pictures and conversations, for other trainers")
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Check the demonstrations, then write samples, preview or export."""
    overrides = [word for word in arguments.annotations if "=" in word and word.startswith("data.")]
    paths = [word for word in arguments.annotations if word not in overrides]
    data = read_data_section(arguments.config, overrides)
    if arguments.video_backend is None:
        set_default_backend(data.video_backend)
    paths = paths or list(data.annotations)
    if not paths:
        raise ValueError("no annotations were given; name at least one annotation file")
    paths = [str(path) for path in find_annotations(paths)]
    inputs = [arguments.config, *paths]
    for output, others in ((arguments.output, inputs), (arguments.preview, [arguments.output, *inputs])):
        refuse_overwriting(output, others)
    if arguments.output:
        checked_sample_path(arguments.output)
    budget = read_token_budget(load_document(arguments.config))
    if arguments.update_videos:
        for demonstration in read_demonstrations(paths, arguments.videos):
            if demonstration.moved:
                update_video_paths(demonstration)
                print(f"{demonstration.path}: the path of its video is now {demonstration.video}")
    demonstrations, findings = check_files(paths, arguments.videos, data.labels, data.window, budget)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors and not arguments.check:
        raise ValueError("; ".join(f"annotation {finding.where}: {finding.message}" for finding in errors))
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        if findings:
            print(findings_table(findings))
        print(
            f"checked {len(paths)} demonstration(s): {len(errors)} error(s), {len(findings) - len(errors)} warning(s)"
        )
    if arguments.check:
        return 2 if errors else 0
    if not (arguments.output or arguments.preview or arguments.export):
        raise ValueError(
            "--output is missing; name the file to write (or --preview PAGE.html, or --export FOLDER), or add "
            "--check to check only"
        )
    videos = [video for demonstration in demonstrations for video in demonstration.views.values()]
    for output in (arguments.output, arguments.preview):
        refuse_overwriting(output, videos)
    samples = build_sample_set(demonstrations, data.window, data.sampling, data.labels)
    if arguments.output:
        write_samples(arguments.output, to_dataset(samples), data.window, demonstrations)
        directions = ", ".join(f"{count} {name}" for name, count in Counter(s.direction for s in samples).items())
        print(f"wrote {len(samples)} samples ({directions}) to {arguments.output}")
    if arguments.export:
        from dataset.formats.conversations import write_conversations

        pictures = write_conversations(arguments.export, samples)
        print(f"wrote {len(samples)} conversations and {pictures} pictures to {arguments.export}")
    if arguments.preview:
        count = write_preview(arguments.preview, demonstrations, samples, data.labels)
        print(f"wrote {arguments.preview}: {count} of {len(samples)} samples, with pictures")
    return 0


def findings_table(findings: Sequence[Finding], width: int | None = None) -> str:
    """Return the findings as a table: level, file, place, message; wrapped to `width` columns."""
    width = width or shutil.get_terminal_size((120, 24)).columns
    rows = [(finding.level, finding.where, finding.place or "-", finding.message) for finding in findings]
    sizes = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:3]]
    room = max(width - sum(sizes) - 6, 40)
    lines = []
    for row in rows:
        for number, part in enumerate(textwrap.wrap(row[3], room)):
            cells = row[:3] if number == 0 else ("", "", "")
            lines.append("  ".join([*(cell.ljust(size) for cell, size in zip(cells, sizes, strict=True)), part]))
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(make_parser(), main)
