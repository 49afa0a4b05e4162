import asyncio
import base64
import json

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
    with TestClient(app, base_url="http://127.0.0.1") as client:
        routes = set(paths(app.routes)) | {("GET", "/"), ("GET", "/frames/x/0/0.jpg"), ("GET", "/strip/x.jpg")}
        assert len(routes) > 20  # Gradio's own routes are among them
        for method, path in routes:
            reply = client.request(method, path)
            assert reply.status_code == 401, path
            assert reply.headers["www-authenticate"].startswith("Basic")
        assert client.get("/", auth=("anna", "wrong")).status_code == 401
        assert client.get("/", auth=("anna", "se:cret")).status_code == 200
        assert client.get("/alive", auth=("anna", "se:cret")).status_code == 204


HERE = {"host": "127.0.0.1:7860"}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def open_client(video):
    app = build_app(Store.open([video], TASK, video.parent / "open-labels"), host_names=["labels.example.org"])
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (HERE, 200),
        ({"host": "localhost:9000"}, 200),  # through a tunnel
        ({"host": "[::1]:7860"}, 200),
        ({"host": "192.168.0.7"}, 200),
        ({"host": "labels.example.org"}, 200),
        ({"host": "attacker.example"}, 421),  # a name that was given this machine's address
        ({"host": "127.0.0.1.attacker.example"}, 421),
        ({"host": ""}, 421),
        (HERE | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),  # a link to the page
        (HERE | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        (HERE | {"origin": "http://127.0.0.1:7860"}, 200),
        (HERE | {"origin": "http://127.0.0.1:3000"}, 403),
        (HERE | {"origin": "null"}, 403),
    ],
)
def test_other_sites_and_unknown_names_are_refused(open_client, headers, status):
    assert open_client.get("/", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (JSON | {"origin": "http://127.0.0.1:7860"}, 200),
        (JSON | {"origin": "https://labels.example.org"}, 200),  # a proxy that gives the server another host
        (JSON | {"origin": "https://attacker.example"}, 403),
        ({"content-type": "text/plain", "origin": "https://attacker.example"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
    ],
)
def test_only_the_page_itself_can_change_an_annotation(open_client, headers, status):
    component = next(iter(c["id"] for c in open_client.get("/config").json()["components"] if c["type"] == "html"))
    body = {"session_hash": "x", "component_id": component, "fn_name": "open_episode", "data": {"id": None}}
    reply = open_client.post("/gradio_api/component_server/", headers=headers, content=json.dumps(body))
    assert reply.status_code == status
    assert (status == 200) == ("marking" in reply.text)


def test_of_gradio_only_what_the_page_needs_is_open(open_client):
    for method, path in (
        ("POST", "/gradio_api/upload"),
        ("GET", "/gradio_api/upload_progress"),
        ("GET", "/gradio_api/file=pyproject.toml"),
        ("GET", "/gradio_api/proxy=https://huggingface.co/x"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/call/predict"),
        ("POST", "/gradio_api/process_recording"),
        ("GET", "/gradio_api/info"),
        ("GET", "/monitoring"),
        ("GET", "/gradio_api/../gradio_api/info"),
    ):
        assert open_client.request(method, path).status_code == 404, path


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
