"""A server of the labelling page and a browser that looks at it, for tests.

A missing chromium skips these tests; where CI or ONETAKE_REQUIRE_BROWSER is set, it fails them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import av
import pytest
from material import ROOT, TASK, numbered_frame

from annotate.queue import find_episodes

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
]
READ_NUMBER = """(camera) => {
  const canvas = document.querySelectorAll('#pictures canvas')[camera];
  const {width, height} = canvas, pen = canvas.getContext('2d');
  let number = 0;
  for (let bit = 0; bit < 12; bit += 1) {
    const x = Math.floor((bit * 8 + 4) * width / 96), y = Math.floor(4 * height / 64);
    if (pen.getImageData(x, y, 1, 1).data[1] > 127) number += 2 ** bit;
  }
  return number;
}"""


class Server:
    """`python -m annotate` in a process of its own."""

    def __init__(self, *arguments: str | Path, port: int | None = None) -> None:
        self.arguments, self.port = [str(argument) for argument in arguments], port or _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", "annotate", "--port", str(self.port), *self.arguments]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.stop()
            raise

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            if self.process.poll() is not None:
                raise RuntimeError(self.process.stdout.read())
            time.sleep(0.05)
        raise RuntimeError("the server does not listen")

    def stop(self) -> str:
        """End it at once, as a crash would; return what it printed."""
        self.process.kill()
        return self.process.communicate()[0]

    def peak_memory_mb(self) -> float:
        """Return the most memory it ever held, in MB (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


@contextlib.contextmanager
def serving(*arguments: str | Path) -> Iterator[Server]:
    """Run a server for a while; a traceback that it printed fails the test."""
    server = Server(*arguments)
    try:
        yield server
    finally:
        printed = server.stop()
    assert "Traceback" not in printed, printed


class Editor:
    """One tab that shows the page."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url, self.errors, self.presses = page, url, [], 0
        page.on("pageerror", lambda error: self.errors.append(f"page error: {error}"))
        page.on("request", self._watch)

    def _watch(self, request: Any) -> None:
        address = urlparse(request.url)
        if address.scheme not in ("data", "blob") and address.hostname != "127.0.0.1":
            self.errors.append(f"requests another host: {request.url}")

    def open(self, query: str = "") -> Editor:
        """Load the page and wait for its first frame."""
        self.page.goto(f"{self.url}/{query}")
        self.wait("shown", lambda value: value != "")
        return self

    def data(self, name: str) -> str:
        """Return a state that the editor shows as `data-...`."""
        return self.page.evaluate("(name) => document.querySelector('#stage-timeline')?.dataset[name] ?? ''", name)

    def wait(self, name: str, expected: Any, timeout_sec: float = 60) -> str:
        """Wait until a state has a value, or satisfies a condition."""
        deadline = time.monotonic() + timeout_sec
        while time.monotonic() < deadline:
            value = self.data(name)
            if expected(value) if callable(expected) else value == str(expected):
                return value
            self.page.wait_for_timeout(20)
        raise AssertionError(f"data-{name} is {self.data(name)!r}; message: {self.text('message')!r}")

    def press(self, *keys: str) -> None:
        """Press keys, counted."""
        for key in keys:
            self.page.keyboard.press(key)
            self.presses += 1

    def type(self, text: str) -> None:
        """Type text; its letters are not counted as key presses."""
        self.page.keyboard.type(text)

    def go(self, frame: int) -> None:
        """Go to a frame by its number and wait until it is painted."""
        self.press("g")
        self.type(str(frame))
        self.press("Enter")
        self.wait("shown", frame)

    def mark(self, frame: int, text: str) -> None:
        """Mark the end of a stage, and wait until it is saved."""
        self.mark_without_waiting(frame, text)
        self.settled()

    def mark_without_waiting(self, frame: int, text: str) -> None:
        """Mark the end of a stage."""
        self.go(frame)
        self.press("Enter")
        self.type(text)
        self.press("Enter")

    def settled(self) -> None:
        """Wait until edits have come back and are saved."""
        self.page.evaluate("document.querySelector('#stage-timeline').editor.flush()")
        self.wait("save", "saved")

    def saved(self) -> None:
        """Wait for the autosave, without asking for it."""
        self.wait("save", "saved")

    def number(self, camera: int = 0) -> int:
        """Return the number that the painted frame carries."""
        return self.page.evaluate(READ_NUMBER, camera)

    def shown(self) -> int:
        """Return the frame number that the page claims to show."""
        return int(self.data("shown"))

    def text(self, element: str) -> str:
        """Return the text of an element."""
        return self.page.evaluate("(id) => document.getElementById(id)?.innerText ?? ''", element)

    def value(self, element: str) -> str:
        """Return what a field holds."""
        return self.page.evaluate("(id) => document.getElementById(id).value", element)

    def stages(self) -> list[tuple[int, str]]:
        """Return last frame and text of every row of the stage list."""
        rows = self.page.evaluate(
            """[...document.querySelectorAll('#stages li')]
              .map(row => [row.querySelector('.end').value, row.querySelector('.text').value])"""
        )
        return [(int(end), text) for end, text in rows]

    def point(self, frame: float, y: float) -> tuple[float, float]:
        """Return where on the page the left edge of a frame is, while the whole video is in view."""
        box = self.page.locator("#track").bounding_box()
        count = int(self.page.locator("#track").get_attribute("aria-valuemax")) + 1
        return box["x"] + frame / count * box["width"], box["y"] + y


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser for one file of tests: while it runs, Playwright's event loop occupies this thread."""
    path = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if path is None or sync_playwright is None:
        missing = "chromium" if path is None else "playwright"
        refuse = pytest.fail if os.environ.get("CI") or os.environ.get("ONETAKE_REQUIRE_BROWSER") else pytest.skip
        refuse(f"{missing} is not installed; Debian: apt-get install chromium, then pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_editor(chromium):
    """Open tabs on servers; at the end none may have had a page error or have requested another host."""
    contexts, editors = [], []

    def open_one(server: Server, query: str = "", **options: Any) -> Editor:
        context = chromium.new_context(viewport={"width": 1440, "height": 900}, **options)
        contexts.append(context)
        editor = Editor(context.new_page(), server.url)
        editors.append(editor)
        return editor.open(query)

    yield open_one
    for context in contexts:
        context.close()
    assert [error for editor in editors for error in editor.errors] == []


@pytest.fixture(scope="session")
def desk(video, tmp_path_factory):
    """A server with many copies of a video of 40 numbered frames: every test labels its own."""
    folder = tmp_path_factory.mktemp("desk")
    for number in range(24):
        shutil.copy(video, folder / f"ep{number:02}.mp4")
    with serving("--video", folder, "--task", TASK) as server:
        server.folder = folder
        yield server


@pytest.fixture(scope="session")
def used_episodes():
    """Episodes of the desk that tests use already."""
    return []


@pytest.fixture
def label(desk, open_editor, request):
    """Open a fresh episode; returns the editor and the path of its annotation."""
    used = request.getfixturevalue("used_episodes")
    key, episode = list(find_episodes([desk.folder]).items())[len(used)]
    used.append(key)
    editor = open_editor(desk, f"?episode={key}")
    editor.annotation = episode.annotation
    return editor


def write_timed_video(path: Path, times_ms: list[int], start_ms: int = 0, size: tuple[int, int] = (96, 64)) -> Path:
    """Encode numbered frames with the presentation times given: a variable rate, a start that is not 0."""
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000, options={"preset": "ultrafast", "g": "250"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index, time_ms in enumerate(times_ms):
            small = av.VideoFrame.from_ndarray(numbered_frame(index), format="rgb24")
            frame = small.reformat(width, height, "yuv420p", interpolation="POINT")
            frame.pts = start_ms + time_ms
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
