"""`python -m dataset`: check annotated demonstrations and turn them into samples."""

from __future__ import annotations

import argparse
from collections import Counter

from dataset.check import check_demonstrations
from dataset.cli import run_command
from dataset.recipe import read_data_section
from dataset.samples import build_samples, read_demonstrations, write_samples

EPILOG = """\
examples:
  python -m dataset data/demo.json --check
      what the check says about one annotated demonstration
  python -m dataset data/demo.json --config recipes/oneshot.yaml --output data/samples.jsonl
      samples with the window rule and the sampling of that recipe; train on them with
      python -m train --config recipes/oneshot.yaml data.samples=data/samples.jsonl
"""


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset", description=__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "annotations", nargs="*", help="annotation files (JSON); overrides go last: data.sampling.every=2"
    )
    parser.add_argument("--config", help="recipe whose `data` section is used; without it the defaults")
    parser.add_argument("--output", help="JSONL file of samples to write; replaced if it exists")
    parser.add_argument("--check", action="store_true", help="only check; exit 2 when there are errors")
    return parser


def main(arguments: argparse.Namespace) -> int:
    """Check, then write samples."""
    overrides = [word for word in arguments.annotations if "=" in word and word.startswith("data.")]
    paths = [word for word in arguments.annotations if word not in overrides]
    data = read_data_section(arguments.config, overrides)
    demonstrations = read_demonstrations(paths or data.annotations)
    findings = check_demonstrations(demonstrations)
    for finding in findings:
        print(f"{finding.level}: {finding.where}: {finding.message}")
    errors = sum(finding.level == "error" for finding in findings)
    print(f"checked {len(demonstrations)} demonstration(s): {errors} error(s), {len(findings) - errors} warning(s)")
    if errors:
        return 2
    if arguments.check:
        return 0
    if not arguments.output:
        raise ValueError("--output is missing; name the JSONL file to write, or add --check to check only")
    samples = [s for d in demonstrations for s in build_samples(d, data.window, data.sampling)]
    write_samples(arguments.output, samples, data.window, demonstrations)
    directions = ", ".join(f"{count} {name}" for name, count in Counter(s.direction for s in samples).items())
    print(f"wrote {len(samples)} samples ({directions}) to {arguments.output}")
    return 0


if __name__ == "__main__":
    run_command(make_parser(), main)
