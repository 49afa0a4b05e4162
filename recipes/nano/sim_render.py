"""Turn recorded joint positions into a video, on a CPU and without a display; vary the look of the scene.

Knows pictures and files; does not know tasks or stages.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "egl")  # before MuJoCo is imported
os.environ.setdefault("LP_NUM_THREADS", "1")  # threads of Mesa's software renderer

import av
import mujoco
import numpy as np

FPS = 25
# Free cameras: the cornerN cameras of Meta-World are upside down, and one at the robot's left sees only its arm.
VIEWS = {
    "main": dict(azimuth=140, elevation=-28, distance=1.2),
    "front": dict(azimuth=-125, elevation=-30, distance=1.1),
    "high": dict(azimuth=172, elevation=-42, distance=1.15),
}
LOOK_AT = (0.0, 0.68, 0.13)


def paint(model, geoms: Iterable[int], colour: Sequence[float], rng: np.random.Generator) -> None:
    """Give the visible geoms a plain colour (red, green, blue, each in [0, 1]), in place, varied a little."""
    shade = np.clip(np.array(colour) * rng.uniform(0.85, 1.1) + rng.uniform(-0.03, 0.03, 3), 0, 1)
    for geom in geoms:
        if model.geom_group[geom] < 3:  # the others are only there for contacts
            model.geom_matid[geom] = -1
            model.geom_rgba[geom] = [*shade, 1.0]


def bystander_geom(model, geoms: Iterable[int], place: np.ndarray, colour: Sequence[float]) -> dict:
    """Return arguments of `mjv_initGeom` for a look-alike of a one-piece object that lies somewhere else."""
    geom = next(geom for geom in geoms if model.geom_group[geom] < 3)
    size = model.geom_size[geom].copy()
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CYLINDER:
        size[1:] = size[0], size[1]  # drawn geoms have two radii
    rgba = np.array([*colour, 1.0], np.float32)
    return {"type": model.geom_type[geom], "size": size, "pos": place, "mat": np.eye(3).ravel(), "rgba": rgba}


def draw_look(model, rng: np.random.Generator, far_side: bool = True) -> dict:
    """Vary colours and lights of the scene in place, and draw a camera; returns the camera.

    Objects change little here, because the texts name their colours.

    Args:
        model: MuJoCo model, changed in place.
        rng: Source of the variation.
        far_side: Whether the camera may stand on the far side of the table.
    """
    for index in range(model.nmat):
        if model.mat(index).name in ("basic_floor", "table_wood", "wall_metal"):
            plain = rng.random() < 0.3
            if plain:
                model.mat_texid[index] = -1  # one colour instead of the texture, dark enough for white objects
            model.mat_rgba[index, :3] = rng.uniform(0.45, 1.0) * rng.uniform(0.75, 1.0, 3) * (0.65 if plain else 1.0)
        else:
            model.mat_rgba[index, :3] = np.clip(model.mat_rgba[index, :3] * rng.uniform(0.85, 1.15), 0, 1)
    model.vis.headlight.ambient[:] = 0.4 * rng.uniform(0.7, 1.3)
    model.vis.headlight.diffuse[:] = 0.4 * rng.uniform(0.6, 1.4)
    model.light_diffuse[:] *= rng.uniform(0.5, 1.5, (model.nlight, 1))
    view = str(rng.choice(["main", "front", "high"], p=[0.75, 0.125, 0.125]))
    if view == "front" and not far_side:
        view = "high"
    base = VIEWS[view]
    return {
        "view": view,
        "azimuth": round(base["azimuth"] + rng.uniform(-12, 12), 2),
        "elevation": round(base["elevation"] + rng.uniform(-5, 5), 2),
        "distance": round(base["distance"] * rng.uniform(0.92, 1.08), 3),
    }


def render(
    env,
    positions: np.ndarray,
    look: dict,
    size: int,
    shadows: bool,
    smooth: bool,
    bystander: dict | None,
    body: str | None,
) -> Iterator[tuple[np.ndarray, dict[str, list[float]]]]:
    """Yield per row of joint positions one image (size, size, 3), uint8, and where hand and object are in it.

    A place is (x, y) as shares of the picture from its upper left corner; `object` is that of a MuJoCo body, or without
    one that of the bystander (see `bystander_geom`), `hand` half-way between the finger pads. Smooth edges (four
    samples a pixel) double the time, shadows nearly triple it.
    """
    model, data = env.model, env.data
    model.vis.quality.shadowsize, model.vis.quality.offsamples = (1024 if shadows else 64), (4 if smooth else 0)
    model.light_castshadow[:] = 0
    model.light_castshadow[0] = int(shadows)
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.azimuth, camera.elevation, camera.distance = look["azimuth"], look["elevation"], look["distance"]
    camera.lookat[:] = LOOK_AT
    renderer = mujoco.Renderer(model, size, size)
    for qpos in positions:
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        renderer.update_scene(data, camera=camera)
        if bystander:
            mujoco.mjv_initGeom(renderer.scene.geoms[renderer.scene.ngeom], **bystander)
            renderer.scene.ngeom += 1
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(shadows)
        pads = (data.body("leftpad").xpos + data.body("rightpad").xpos) / 2
        place = data.body(body).xpos if body else bystander["pos"]
        places = {"hand": project(renderer.scene, pads), "object": project(renderer.scene, place)}
        yield renderer.render(), places
    renderer.close()


def project(scene, point: np.ndarray) -> list[float]:
    """Return where a point of the world appears in the picture of a scene: (x, y), shares from the upper left."""
    eyes = scene.camera  # one to the left of the middle, one to the right; a mono picture is taken from between them
    position = (np.array(eyes[0].pos) + np.array(eyes[1].pos)) / 2
    forward, up = np.array(eyes[0].forward), np.array(eyes[0].up)
    offset = point - position
    scale = eyes[0].frustum_near / float(offset @ forward)
    half = (eyes[0].frustum_top - eyes[0].frustum_bottom) / 2  # of a square picture
    x, y = float(offset @ np.cross(forward, up)) * scale, float(offset @ up) * scale
    return [round(0.5 + x / (2 * half), 4), round(0.5 - y / (2 * half), 4)]


def write_video(path: Path, frames: Iterable[np.ndarray], size: int, crf: int) -> str:
    """Encode H.264, complete or not at all; returns the first 16 digits of the SHA-256 of the raw frames."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.mp4")
    digest = hashlib.sha256()
    options = {"crf": str(crf), "preset": "medium", "g": "25", "threads": "1"}
    with av.open(str(partial), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width = stream.height = size
        stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, FPS)
        for frame in frames:
            digest.update(frame.tobytes())
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    partial.replace(path)
    return digest.hexdigest()[:16]
