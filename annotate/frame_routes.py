"""The picture routes: frame i of an episode, and its filmstrip. Browsers name episodes by id, never by path.

Knows HTTP; the pictures come from `frame_cache` and `background`. Pictures with the present `?v=` never change, so
browsers may keep them; a request with another `?v=` is for a video that was replaced since, and is refused.
"""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Response

from annotate.background import BackgroundScanner
from annotate.frame_cache import FrameCache
from annotate.store import Store
from dataset.video import VideoError

FOREVER = "private, max-age=31536000, immutable"


def make_router(store: Store, cache: FrameCache, scanner: BackgroundScanner) -> APIRouter:
    """Return the picture routes of a store."""
    router = APIRouter()

    def check(episode: str, v: str | None) -> None:
        try:
            present = store.version(store.episode(episode).id)
        except ValueError as error:
            raise HTTPException(404, str(error)) from None
        if v is not None and v != present:
            raise HTTPException(410, f"{store.episode(episode).video.name} was replaced by another file")

    @router.get("/alive")
    def alive() -> Response:
        return Response(status_code=204)

    @router.get("/frames/{episode}/{camera}/{name}.jpg")
    def frame(episode: str, camera: str, name: str, v: str | None = None) -> Response:
        check(episode, v)
        index, number = _number(name), _number(camera)
        try:
            reader = store.reader(episode, number)
        except VideoError as error:
            raise HTTPException(404, str(error)) from None
        if not 0 <= index < len(reader):
            raise HTTPException(404, f"frame {name[:20]} is not in the video, which has frames 0 to {len(reader) - 1}")
        try:
            data = cache.jpeg(episode, index, number)
        except VideoError as error:
            raise HTTPException(500, str(error)) from None
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": FOREVER if v else "no-store"})

    @router.get("/strip/{episode}.jpg")
    def strip(episode: str, v: str | None = None) -> Response:
        check(episode, v)
        try:
            data = scanner.strip_jpeg(episode)
        except VideoError as error:
            raise HTTPException(404, str(error)) from None
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    return router


def _number(text: str) -> int:
    """Parse a whole number of a URL; -1 for everything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
