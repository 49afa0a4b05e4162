"""The labelling page: one Gradio component that holds the editor, and routes for its pictures and scripts.

Knows Gradio and FastAPI; the functions that the page's scripts call are in `server_functions`. The page shows inclusive
ends to people; everything in Python and in files is half-open.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from fastapi import FastAPI

from annotate.access import RefuseForeignRequests, RequireLogin
from annotate.background import BackgroundScanner
from annotate.frame_cache import FrameCache
from annotate.frame_routes import make_router
from annotate.page_files import PageScripts, page_file
from annotate.server_functions import make_server_functions
from annotate.store import Store

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import: the page sends nothing to other hosts

import gradio as gr

PAGE_CSS = """\
.gradio-container, .gradio-container > main { max-width: none !important; width: 100% !important; }
.gradio-container > main { padding: 8px 20px !important; }
footer { display: none; }
"""


def build_app(store: Store, auth: tuple[str, str] | None = None, host_names: Iterable[str] = ()) -> FastAPI:
    """Return the whole server.

    Args:
        store: The episodes.
        auth: User and password that every route requires; open to everybody who reaches it by default.
        host_names: Names of this server besides IP addresses and the name of the machine, as of a proxy.
    """
    cache = FrameCache(store)
    scanner = BackgroundScanner(store, cache)
    scripts = PageScripts()
    app = FastAPI(title="Onetake", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(make_router(store, cache, scanner))
    app.include_router(scripts.make_router())
    with gr.Blocks(title="Onetake: mark stages", fill_width=True) as page:
        # The templates are static and hold no user text. No subclass: Gradio would write a `.pyi` file beside this one.
        gr.HTML(
            "",
            html_template=page_file("timeline.html"),
            css_template=page_file("timeline.css"),
            js_on_load=scripts.start_script,
            server_functions=make_server_functions(store, scanner),
            apply_default_css=False,
            elem_id="timeline",
        )
    gr.mount_gradio_app(app, page, path="/", footer_links=[], run_history=False, ssr_mode=False, css=PAGE_CSS)
    app.add_middleware(RefuseForeignRequests, names=tuple(host_names))
    if auth is not None:
        app.add_middleware(RequireLogin, user=auth[0], password=auth[1])
    return app
