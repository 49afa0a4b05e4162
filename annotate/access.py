"""One login in front of everything: the page, its API, the pictures.

Knows HTTP Basic authentication; does not know the routes behind it.
"""

from __future__ import annotations

import base64
import secrets

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class RequireLogin:
    """ASGI middleware that answers 401 to every request without the right user and password.

    It wraps the whole server, so that no route can be left open by mistake.
    """

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
