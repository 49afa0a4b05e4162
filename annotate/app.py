"""The labelling page: one Gradio component that holds the editor, with picture routes beside it.

Knows Gradio and FastAPI; what the page asks for is in `calls`. The page shows inclusive ends to people; everything in
Python and in files is half-open.
"""

from __future__ import annotations

import os
from importlib.resources import files
from typing import Any

from fastapi import FastAPI

from annotate.access import RequireLogin
from annotate.background import Scanner
from annotate.frame_cache import FrameCache
from annotate.frame_routes import make_router
from annotate.server_functions import make_calls
from annotate.store import Store

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import: the page talks to nobody but its server

import gradio as gr

SCRIPTS = (  # one scope, in this order
    "pictures.js",
    "drawing.js",
    "episode.js",
    "player.js",
    "editor.js",
    "panels.js",
    "keys.js",
    "mouse.js",
    "start.js",
)
PAGE_CSS = ".gradio-container { max-width: 1760px !important; padding: 8px 20px !important; } footer { display: none; }"


def make_editor(server_functions: list[Any]) -> gr.HTML:
    """Return the editor: picture, timeline, stage list, samples and predictions.

    The templates are static and hold no user text; the script fetches the episode with `server_functions`. (No
    subclass: Gradio would write a `.pyi` file beside this one.)
    """
    return gr.HTML(
        "",
        html_template=_page_file("timeline.html"),
        css_template=_page_file("timeline.css"),
        js_on_load="".join(map(_page_file, SCRIPTS)),
        server_functions=server_functions,
        apply_default_css=False,
        elem_id="timeline",
        base="/",
    )


def build_app(store: Store, auth: tuple[str, str] | None = None) -> FastAPI:
    """Return the whole server.

    Args:
        store: The episodes.
        auth: User and password asked for at every route; open to everybody who reaches it by default.
    """
    cache = FrameCache(store)
    scanner = Scanner(store, cache)
    app = FastAPI(title="Onetake", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(make_router(store, cache, scanner))
    with gr.Blocks(title="Onetake: mark stages", fill_width=True) as page:
        make_editor(make_calls(store, scanner))
    gr.mount_gradio_app(app, page, path="/", footer_links=[], run_history=False, ssr_mode=False, css=PAGE_CSS)
    if auth is not None:
        app.add_middleware(RequireLogin, user=auth[0], password=auth[1])
    return app


def _page_file(name: str) -> str:
    return files("annotate").joinpath("page", name).read_text(encoding="utf-8")
