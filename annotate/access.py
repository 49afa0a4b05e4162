"""Who may use the server: one login, no other web site, and the routes that the page needs.

Knows HTTP headers and paths; does not know what the routes behind it do. Each class wraps the whole server, so that no
route can be left open by mistake.
"""

from __future__ import annotations

import base64
import ipaddress
import secrets
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# All else that Gradio serves is closed: uploads, files, proxies, its queue and its API.
OPEN_PATHS = frozenset({"/", "/alive", "/config", "/favicon.ico", "/manifest.json", "/robots.txt", "/theme.css"})
OPEN_FOLDERS = ("/assets/", "/static/", "/frames/", "/strip/", "/page/", "/gradio_api/heartbeat/")
CALLS = "/gradio_api/component_server"  # what the page's scripts call; the only route that changes anything


class RequireLogin:
    """ASGI middleware that answers 401 to every request without the right user and password."""

    def __init__(self, app: ASGIApp, user: str, password: str) -> None:
        self._app = app
        self._expected = b"Basic " + base64.b64encode(f"{user}:{password}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(b"authorization", b"")
        if secrets.compare_digest(sent, self._expected):
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": 'Basic realm="Onetake", charset="UTF-8"'}
        await PlainTextResponse("log in to see this page", 401, headers)(scope, receive, send)


class RefuseForeignRequests:
    """ASGI middleware that refuses what this page does not ask for.

    A web site that is open in the same browser can send requests to this server, and can give its own name the address
    of this machine. So the host must be an IP address, the name of this machine or an allowed name; a request that
    comes from the page of another site is refused; and routes that the page does not use do not exist.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] = ()) -> None:
        self._app = app
        own = ("localhost", socket.gethostname(), f"{socket.gethostname()}.local", socket.getfqdn())
        self._names = {name.lower() for name in (*own, *names)}
        self._extra = {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        refusal = None if scope["type"] == "lifespan" else self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse(refusal[1], refusal[0])(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        name = _host_name(f"//{host}")
        if not (name in self._names or _is_address(name)):
            return 421, f"this server is not known as {name!r}; start it with --allow_host {name or 'NAME'}"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host and _host_name(origin) not in self._extra:
            return 403, f"requests from the page of another site ({origin}) are refused"
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return 403, "requests from the page of another site are refused"
        if scope["type"] != "http":
            return 404, "this server has no such route"
        if path.rstrip("/") == CALLS and scope["method"] == "POST":
            kind = headers.get("content-type", "").partition(";")[0].strip()
            return None if kind == "application/json" else (415, f"the page sends application/json, not {kind!r}")
        if scope["method"] not in ("GET", "HEAD") or not (path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)):
            return 404, "this server has no such route"
        return None


def _host_name(address: str) -> str:
    """Return the host of an address without its port; "" where it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
