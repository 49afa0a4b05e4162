import io
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from material import TASK, number_of, write_video
from PIL import Image

from annotate.background import BackgroundScanner
from annotate.frame_cache import FrameCache
from annotate.frame_routes import make_router
from annotate.queue import find_episodes
from annotate.store import Store


@pytest.fixture
def client(video, tmp_path):
    shutil.copy(video, tmp_path / "a.mp4")
    store = Store.open([tmp_path], TASK)
    cache = FrameCache(store)
    app = FastAPI()
    app.include_router(make_router(store, cache, BackgroundScanner(store, cache)))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.key = next(iter(store.episodes))
        client.version = store.version(client.key)
        yield client


def picture(reply) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(reply.content)))


def test_frame_i_is_frame_i_and_may_be_kept(client):
    for index in (0, 39, 7, 8):
        reply = client.get(f"/frames/{client.key}/0/{index}.jpg?v={client.version}")
        assert reply.headers["content-type"] == "image/jpeg"
        assert reply.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert number_of(picture(reply)) == index
    assert client.get(f"/frames/{client.key}/0/3.jpg").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/frames/{key}/0/40.jpg",
        "/frames/{key}/0/-1.jpg",
        "/frames/{key}/0/1e3.jpg",
        "/frames/{key}/0/٣.jpg",
        "/frames/{key}/1/0.jpg",
        "/frames/{key}/x/0.jpg",
        "/frames/{key}/0/99999999999999999999.jpg",
        "/frames/none/0/0.jpg",
        "/frames/..%2f..%2fetc%2fpasswd/0/0.jpg",
        "/frames/../../etc/passwd",
        "/frames/%2e%2e/%2e%2e/etc/passwd.jpg",
        "/frames/{key}/0/..%2f..%2f..%2fetc%2fpasswd.jpg",
        "/strip/none.jpg",
        "/strip/..%2f..%2fetc%2fpasswd.jpg",
    ],
)
def test_what_is_not_there_is_a_404(client, path):
    reply = client.get(path.format(key=client.key))
    assert reply.status_code == 404
    assert b"root:" not in reply.content


def test_a_request_for_a_replaced_video_is_refused(client, tmp_path):
    write_video(tmp_path / "a.mp4", 30)
    for path in (f"/frames/{client.key}/0/3.jpg", f"/strip/{client.key}.jpg"):
        reply = client.get(f"{path}?v={client.version}")
        assert reply.status_code == 410
        assert reply.json()["detail"] == "a.mp4 was replaced by another file"
    assert number_of(picture(client.get(f"/frames/{client.key}/0/29.jpg"))) == 29
    (tmp_path / "a.mp4").write_bytes(b"broken")
    assert client.get(f"/frames/{client.key}/0/3.jpg").status_code == 404


def test_a_hundred_quick_requests_each_get_their_frame(client):
    order = [int(index) for index in np.random.default_rng(0).integers(0, 40, 100)]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda index: client.get(f"/frames/{client.key}/0/{index}.jpg"), order))
    assert [number_of(picture(reply)) for reply in replies] == order


def test_the_strip_grows_to_the_whole_video(client):
    for _ in range(200):
        strip = picture(client.get(f"/strip/{client.key}.jpg"))
        if strip.shape[1] == 40 * 81 and strip[:, -81:].mean() > 30:
            break
        threading.Event().wait(0.02)
    assert strip.shape == (54, 40 * 81, 3)  # 40 frames of 96x64, each 54 pixels high
    assert all(strip[:, k * 81 : (k + 1) * 81].mean() > 30 for k in range(40))


def test_memory_is_bounded_and_streams_are_few(video, tmp_path):
    for number in range(6):
        shutil.copy(video, tmp_path / f"{number}.mp4")
    store = Store(find_episodes([tmp_path]), TASK)
    cache = FrameCache(store, max_bytes=20_000)
    for key in store.episodes:
        for index in range(40):
            assert cache.jpeg(key, index)[:2] == b"\xff\xd8"
    assert cache._bytes <= 20_000
    assert cache._bytes == sum(map(len, cache._jpegs.values()))
    assert len(cache._decoders) == 3


def test_wide_frames_are_scaled_down(tmp_path):
    from annotate_page import write_timed_video

    write_timed_video(tmp_path / "wide.mp4", [0, 40, 80], size=(1280, 720))
    store = Store.open([tmp_path], TASK)
    data = FrameCache(store).jpeg(next(iter(store.episodes)), 2)
    assert Image.open(io.BytesIO(data)).size == (960, 540)
