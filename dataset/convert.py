"""Turn the files of other labelling tools into annotations, and annotations into theirs.

    python -m dataset.convert project.json --from via --video demo.mp4 --task "Open it" --outcome done --output d.json
    python -m dataset.convert demo.json --to csv --output demo.csv

Formats: `via` (VGG video annotator 3, JSON), `label_studio` (video timeline labels, JSON), `csv` (one row per stage,
frames from 0, last frame inclusive; docs/formats.md lists the columns). They cannot hold measured progress and further
cameras; a note is printed if these are left out. Gaps between segments become excluded stages.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.annotation_file import read_annotation, write_annotation
from dataset.command_line import run_command
from dataset.demonstration import read_demonstration
from dataset.files import refuse_overwriting, write_text_atomically
from dataset.formats.label_studio import from_label_studio, to_label_studio
from dataset.formats.outline import Outline, annotation_from_outline, frame_edges, outline_of
from dataset.formats.stage_table import decoded_table, from_table, to_table
from dataset.formats.via import from_via, to_via
from dataset.video import VideoError, VideoReader

FORMATS = ("via", "label_studio", "csv")


def export_annotation(annotation_path: str | Path, form: str) -> str:
    """Return an annotation in the format of another tool, as the text of a file."""
    annotation = read_annotation(annotation_path)
    outline, name = outline_of(annotation), Path(annotation.video).name
    if form == "csv":
        return to_table(outline, name, annotation.fps)
    document: Any
    if form == "label_studio":
        document = to_label_studio(outline, name, annotation.fps)
    else:
        document = to_via(outline, name, frame_edges(VideoReader(read_demonstration(annotation_path).video)))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def import_outline(path: str | Path, form: str, video: str | Path, project_fps: float | None = None) -> Outline:
    """Read the stages and the outcome of a video from the file of another tool.

    Args:
        path: The file.
        form: One of `FORMATS`.
        video: The video.
        project_fps: Frames per second that Label Studio counted, where its file does not say.

    Raises:
        ValueError: The file, or what it says about the video, cannot be used; the message names the file.
    """
    if project_fps is not None and form != "label_studio":
        raise ValueError(f"--project_fps is for label_studio; {form} files say how their frames are counted")
    try:
        reader = VideoReader(video)
        if form == "csv":
            return from_table(decoded_table(Path(path).read_bytes()), str(video), reader.fps)
        document = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        if form == "label_studio":
            return from_label_studio(document, str(video), frame_edges(reader), project_fps)
        return from_via(document, str(video), frame_edges(reader))
    except VideoError:
        raise
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; check the path") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text in UTF-8 ({error}); export it again") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: no valid JSON ({error})") from None
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path}: has another form than {form} writes ({reason}); export it again") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def make_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset.convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", help="file to read")
    direction = parser.add_mutually_exclusive_group(required=True)
    direction.add_argument(
        "--from", dest="source", choices=FORMATS, help="read a file of another tool and write an annotation"
    )
    direction.add_argument(
        "--to", dest="target", choices=FORMATS, help="read an annotation and write a file for another tool"
    )
    parser.add_argument("--output", required=True, help="file to write; replaced if it exists")
    parser.add_argument("--video", help="with --from: the video")
    parser.add_argument("--task", help="with --from: the instruction, if the file has none")
    parser.add_argument(
        "--outcome", choices=("done", "not_done"), help="with --from: the outcome, if the file has none"
    )
    parser.add_argument("--final_progress", type=float, help="with --from: percent that a failure reached")
    parser.add_argument(
        "--project_fps", type=float, help="with --from label_studio: the frameRate of its labelling configuration"
    )
    return parser


def main(arguments: argparse.Namespace) -> None:
    """Convert one file."""
    refuse_overwriting(arguments.output, [arguments.file, arguments.video])
    if arguments.target:
        write_text_atomically(arguments.output, export_annotation(arguments.file, arguments.target))
        annotation = read_annotation(arguments.file)
        if annotation.measured_progress is not None or annotation.cameras:
            print(f"note: {arguments.target} cannot hold measured progress and further cameras; they are left out")
    else:
        if not arguments.video:
            raise ValueError("--video is missing; name the video that the file describes")
        outline = import_outline(arguments.file, arguments.source, arguments.video, arguments.project_fps)
        given = {"task": arguments.task, "final_progress": arguments.final_progress}
        if arguments.outcome:
            given["success"] = arguments.outcome == "done"
        outline = replace(outline, **{key: value for key, value in given.items() if value is not None})
        annotation = annotation_from_outline(outline, arguments.video, arguments.output)
        write_annotation(arguments.output, annotation)
    print(f"wrote {arguments.output}: {len(annotation.stages)} stages of {annotation.num_frames} frames")


if __name__ == "__main__":
    run_command(make_parser(), main)
