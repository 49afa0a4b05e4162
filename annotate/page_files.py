"""The page's own files: template, style sheet, and the ES modules that browsers load.

Knows the folder `page/` and HTTP; does not know Gradio. A script's address holds a digest of all scripts, so browsers
may keep it forever and still never run an old script after an upgrade: the new page names new addresses.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Response

FOREVER = "private, max-age=31536000, immutable"
_FOLDER = files("annotate").joinpath("page")
_START = """\
const { origin, pathname } = window.location;
const page = origin + pathname.replace(/[/]?$/, "/");
import(page + "%s").then(
  ({ start }) => start(element, server),
  (error) => {
    const problem = element.querySelector("#problem");
    problem.textContent = `the page's scripts do not load (${error.message}); reload the page`;
    problem.hidden = false;
  },
);
"""


def page_file(name: str) -> str:
    """Return the text of a file of the page."""
    return _FOLDER.joinpath(name).read_text(encoding="utf-8")


class PageScripts:
    """The ES modules of the page as they are when the server starts."""

    def __init__(self) -> None:
        names = sorted(path.name for path in _FOLDER.iterdir() if path.name.endswith(".js"))
        self.texts = {name: page_file(name) for name in names}
        self.version = hashlib.sha256(repr(self.texts).encode()).hexdigest()[:16]

    @property
    def start_script(self) -> str:
        """The script that Gradio runs: it imports `start.js` and starts the editor with Gradio's objects."""
        return _START % f"page/{self.version}/start.js"

    def make_router(self) -> APIRouter:
        """Return the route of the scripts."""
        router = APIRouter()

        @router.get("/page/{version}/{name}")
        def script(version: str, name: str) -> Response:
            if version != self.version or name not in self.texts:
                raise HTTPException(404, "there is no such script; reload the page")
            return Response(self.texts[name], media_type="text/javascript", headers={"Cache-Control": FOREVER})

        return router
