"""The labelling page: one Gradio component that holds the editor, native widgets around it, picture routes beside it.

Knows Gradio and what the page asks the server for; the rules of stages are in `editing`, files in `store`.
The page shows inclusive ends to people; everything here and in files is half-open.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from annotate import editing
from annotate.draft import Draft, stages_from_rows, stages_to_rows
from annotate.frames import make_router, strip_count, version
from annotate.login import RequireLogin
from annotate.store import ConflictError, Store
from dataset.check import check_demonstrations
from dataset.recipe import read_data_section
from dataset.samples import build_samples, read_demonstrations, write_samples

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import: the page talks to nobody but its server

import gradio as gr  # noqa: E402

FLUSH_JS = "async (id) => { await document.getElementById('stage-timeline')?.editor?.flush(); return [id]; }"
SCRIPTS = ("pictures.js", "drawing.js", "episode.js", "timeline.js", "keys.js")  # one scope, in this order
PAGE_CSS = ".gradio-container { max-width: 1480px !important; padding: 10px 20px !important; }"


class StageTimeline(gr.HTML):
    """The editor: picture, timeline, stage list. Its value is `{"id": ...}`, the episode to show.

    The templates are static and hold no user text; the script fetches the episode with `server_functions`.
    """

    def __init__(self, value: dict[str, str], server_functions: list[Any], base: str = "/", **options: Any) -> None:
        super().__init__(
            value,
            html_template=_page_file("timeline.html"),
            css_template=_page_file("timeline.css"),
            js_on_load="".join(map(_page_file, SCRIPTS)),
            server_functions=server_functions,
            apply_default_css=False,
            elem_id="timeline",
            base=base,
            **options,
        )


def build_app(store: Store, auth: tuple[str, str] | None = None) -> FastAPI:
    """Return the whole server.

    Args:
        store: The episodes.
        auth: User and password asked for at every route; open to everybody who reaches it by default.
    """
    app = FastAPI(title="Onetake", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(make_router(store))
    gr.mount_gradio_app(
        app, _build_page(store), path="/", footer_links=[], run_history=False, ssr_mode=False, css=PAGE_CSS
    )
    if auth is not None:
        app.add_middleware(RequireLogin, user=auth[0], password=auth[1])
    return app


def _build_page(store: Store) -> gr.Blocks:
    first = next(iter(store.episodes))
    quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

    def open_page(request: gr.Request):
        asked = request.query_params.get("episode")
        shown = asked if asked in store.episodes else _next_unlabelled(store, None)
        return gr.Dropdown(choices=_choices(store), value=shown), {"id": shown}

    def go_to_next(shown: str):
        following = _next_unlabelled(store, shown)
        return gr.Dropdown(choices=_choices(store), value=following), {"id": following}

    def check(shown: str):
        report, command = check_and_make_samples(store, shown)
        return gr.Textbox(report, visible=True), gr.Textbox(command, visible=bool(command))

    with gr.Blocks(title="Onetake: mark stages", fill_width=True) as page:
        with gr.Row(equal_height=True):
            picker = gr.Dropdown(
                _choices(store), value=first, label="Episode", elem_id="episode", scale=5, visible=len(store.episodes) > 1
            )
            following = gr.Button(
                "Next unlabelled", elem_id="next-unlabelled", scale=1, visible=len(store.episodes) > 1
            )
        timeline = StageTimeline({"id": None}, _server_functions(store))
        check_button = gr.Button("Check and make samples", variant="primary", elem_id="check")
        report = gr.Textbox(label="What the check says", elem_id="report", lines=2, max_lines=14, visible=False)
        command = gr.Textbox(
            label="Train on it", elem_id="command", lines=1, max_lines=3, visible=False, buttons=["copy"]
        )
        page.load(open_page, None, [picker, timeline], **quiet)
        picker.input(lambda shown: {"id": shown}, picker, timeline, **quiet)
        following.click(go_to_next, picker, [picker, timeline], js=FLUSH_JS, **quiet)
        check_button.click(check, picker, [report, command], js=FLUSH_JS, **quiet)
        timeline.submit(lambda: gr.Dropdown(choices=_choices(store)), None, picker, **quiet)
    return page


def _server_functions(store: Store) -> list[Any]:
    """Return what the editor calls: one JSON object in, one out with "ok"; Gradio would hide an exception."""

    def load_episode(request: dict[str, Any]) -> dict[str, Any]:
        try:
            key = store.episode(request.get("id")).id
            draft, revision = store.load(key)
            return {"ok": True, "revision": revision, "missing": store.missing(key), "draft": draft.to_document()} | (
                _describe_video(store, key)
            )
        except (ValueError, OSError) as error:
            return {"ok": False, "error": str(error)}

    def save_episode(request: dict[str, Any]) -> dict[str, Any]:
        try:
            key = store.episode(request.get("id")).id
            before = store.episode(key).status
            saved = store.save(key, Draft.from_document(request.get("draft")), str(request.get("revision")))
            status = store.episode(key).status
            return {"ok": True, "revision": saved.revision, "missing": saved.missing, "listed": status != before}
        except ConflictError as error:
            return {"ok": False, "conflict": True, "error": str(error)}
        except (ValueError, OSError) as error:
            return {"ok": False, "error": str(error)}

    def edit_stages(request: dict[str, Any]) -> dict[str, Any]:
        try:
            num_frames = len(store.reader(store.episode(request.get("id")).id))
            stages = apply_edit(stages_from_rows(request.get("stages")), request, num_frames)
            return {"ok": True, "stages": stages_to_rows(stages)}
        except (ValueError, OSError) as error:
            return {"ok": False, "error": str(error)}

    return [load_episode, save_episode, edit_stages]


def apply_edit(stages: editing.Stages, request: dict[str, Any], num_frames: int) -> editing.Stages:
    """Do what the page asks for: `request["op"]` names a function of `editing`, the other keys are its arguments."""
    op = request.get("op")
    if op == "mark_end":
        return editing.mark_end(stages, request["end"], request["text"], num_frames)
    if op == "move_boundary":
        return editing.move_boundary(stages, request["number"], request["end"], num_frames)
    if op == "remove_boundary":
        return editing.remove_boundary(stages, request["number"])
    if op == "rename":
        return editing.rename(stages, request["number"], request["text"])
    if op == "exclude":
        return editing.exclude(stages, request["number"], request["excluded"])
    raise ValueError(f"there is no edit {op!r}; reload the page")


def check_and_make_samples(store: Store, key: str) -> tuple[str, str]:
    """Check one episode and write its samples to `samples/` beside its annotation.

    Returns:
        What to tell the person, and the command that trains on the annotation ("" when it is not fit for training).
    """
    try:
        episode = store.episode(key)
        missing = store.missing(key)
        if missing:
            return f"not finished: {missing}", ""
        demonstrations = read_demonstrations([episode.annotation])
        findings = check_demonstrations(demonstrations)
        lines = [f"{finding.level}: {finding.message}" for finding in findings]
        if any(finding.level == "error" for finding in findings):
            return "\n".join(lines), ""
        data = read_data_section(None)
        samples = build_samples(demonstrations[0], data.window, data.sampling)
        path = episode.annotation.parent / "samples" / f"{episode.annotation.stem}.jsonl"
        write_samples(path, samples, data.window, demonstrations)
    except (ValueError, OSError) as error:
        return f"error: {error}", ""
    kinds = Counter(sample.direction for sample in samples)
    counts = ", ".join(f"{count} {name}" for name, count in kinds.items())
    lines.append("no error" + ("" if findings else ", no warning") + f"; {_shown(episode.annotation)} is ready")
    lines.append(f"wrote {len(samples)} samples ({counts}) to {_shown(path)}; training makes them anew by its recipe")
    return "\n".join(lines), training_command(episode.annotation)


def training_command(annotation: Path) -> str:
    """Return the command that adapts a model to an annotation, to be run in the repository."""
    path = _shown(annotation)
    if path == shlex.quote(path):
        return f"make lora ANNOTATIONS={path}"
    override = f'data.annotations=["{path}"]'  # make splits its variables at blanks
    return f"python -m train --config recipes/nano.yaml {shlex.quote(override)}"


def _describe_video(store: Store, key: str) -> dict[str, Any]:
    reader, v = store.reader(key), version(store, key)
    return {
        "name": store.episode(key).video.name,
        "num_frames": len(reader),
        "timestamps_sec": [round(float(time), 4) for time in reader.timestamps_sec],
        "frames_url": f"frames/{key}/",
        "strip_url": f"strip/{key}.jpg?v={v}",
        "strip_count": strip_count(len(reader)),
        "version": v,
    }


def _choices(store: Store) -> list[tuple[str, str]]:
    return [(f"{episode.video.name}: {episode.status}", key) for key, episode in store.episodes.items()]


def _next_unlabelled(store: Store, shown: str | None) -> str:
    """Return the next episode that is not finished, going round; the one shown when all are."""
    keys = list(store.episodes)
    start = keys.index(shown) + 1 if shown in store.episodes else 0
    waiting = (key for key in keys[start:] + keys[:start] if store.episodes[key].status != "labelled")
    return next(waiting, shown if shown in store.episodes else keys[0])


def _shown(path: Path) -> str:
    """Return a path as short as it can be: relative to the working directory when it is inside."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


@cache
def _page_file(name: str) -> str:
    return files("annotate").joinpath(name).read_text(encoding="utf-8")


