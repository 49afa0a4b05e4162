import asyncio
import base64

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from material import TASK
from starlette.routing import Mount

from annotate import Store, build_app
from annotate.access import RequireLogin


@pytest.fixture(scope="module")
def app(video):
    return build_app(Store.open([video], TASK, video.parent / "labels"), ("anna", "se:cret"))


def paths(routes, prefix=""):
    for route in routes:
        if isinstance(route, Mount):
            yield from paths(route.routes or route.app.routes, prefix + route.path)
        elif hasattr(route, "path"):
            methods = sorted(getattr(route, "methods", None) or ["GET"])
            yield methods[0] if isinstance(route, APIRoute) else "GET", prefix + route.path


def test_every_route_asks_for_the_login(app):
    with TestClient(app) as client:
        routes = set(paths(app.routes)) | {("GET", "/"), ("GET", "/frames/x/0/0.jpg"), ("GET", "/strip/x.jpg")}
        assert len(routes) > 20  # Gradio's own routes are among them
        for method, path in routes:
            reply = client.request(method, path)
            assert reply.status_code == 401, path
            assert reply.headers["www-authenticate"].startswith("Basic")
        assert client.get("/", auth=("anna", "wrong")).status_code == 401
        assert client.get("/", auth=("anna", "se:cret")).status_code == 200
        assert client.get("/alive", auth=("anna", "se:cret")).status_code == 204


@pytest.mark.parametrize("header", [None, b"", b"Basic", b"Bearer x", b"Basic !!", base64.b64encode(b"anna:se:cret")])
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_nothing_passes_without_it(header, kind):
    async def inner(scope, receive, send):
        raise AssertionError("passed")

    sent = []

    async def send(message):
        sent.append(message)

    headers = [] if header is None else [(b"authorization", header)]
    scope = {"type": kind, "method": "GET", "path": "/", "headers": headers}
    asyncio.run(RequireLogin(inner, "anna", "se:cret")(scope, None, send))
    assert sent[0].get("status", 401) == 401
