"""Draw the pictures of docs/annotation_guide.md from the bundled simulated episodes: python tests/guide_pictures.py

Each shows frames of one episode, evenly spread, over the stages of one way to mark it.
"""

from __future__ import annotations

import numpy as np
from material import DEMO, ROOT
from PIL import Image, ImageDraw, ImageFont

from dataset.video import VideoReader

WIDTH, FRAMES, BAND = 1280, 10, 46
INK, PAPER, DONE, LEFT_OUT = (31, 35, 40), (255, 255, 255), (26, 127, 55), (208, 215, 222)
STAGES = ((221, 235, 255), (255, 232, 214))
Mark = tuple[str, int]  # text, frame after its last one

WAYS: dict[str, tuple[str, list[Mark]]] = {
    "good": (
        "demo.mp4",
        [
            ("Move the gripper to the red puck", 19),
            ("Close the gripper on the red puck", 43),
            ("Lift the red puck off the table", 50),
            ("Carry the red puck to the blue goal marker", 70),
            ("done", 108),
        ],
    ),
    "too-coarse": ("demo.mp4", [("Pick up the red puck and bring it to the blue goal marker", 70), ("done", 108)]),
    "too-fine": (
        "demo.mp4",
        [
            ("Lower arm", 8),
            ("Lower arm more", 14),
            ("Stop", 19),
            ("Fingers half", 30),
            ("Fingers closed", 43),
            ("Up", 47),
            ("Up more", 50),
            ("Left", 60),
            ("Left more", 70),
            ("done", 108),
        ],
    ),
    "no-end": (
        "demo.mp4",
        [
            ("Move the gripper to the red puck", 19),
            ("Close the gripper on the red puck", 43),
            ("Lift the red puck off the table", 50),
            ("Carry the red puck to the blue goal marker", 108),
        ],
    ),
    "left-out": (
        "held_out/pause.mp4",
        [
            ("Move the gripper to the red puck", 40),
            ("Close the gripper on the red puck", 56),
            ("Lift", 60),
            ("Carry the red puck", 66),
            ("/delete", 92),
            ("Carry the red puck", 102),
            ("done", 123),
        ],
    ),
}


def draw(video: str, marks: list[Mark]) -> Image.Image:
    """Return frames over stages; the width of a stage is its share of time."""
    reader = VideoReader(DEMO / video)
    side = WIDTH // FRAMES
    page = Image.new("RGB", (WIDTH, side + BAND), PAPER)
    for place, index in enumerate(np.linspace(0, len(reader) - 1, FRAMES).round().astype(int)):
        page.paste(Image.fromarray(reader.frame(int(index), fit=(side, side))), (place * side, 0))
    pen, font, start = ImageDraw.Draw(page), ImageFont.load_default(13), 0
    for number, (text, end) in enumerate(marks):
        x0, x1 = start * WIDTH // len(reader), end * WIDTH // len(reader) - 2
        fill = {"done": DONE, "/delete": LEFT_OUT}.get(text, STAGES[number % 2])
        pen.rectangle((x0, side + 2, x1, side + BAND), fill=fill)
        ink = PAPER if text == "done" else INK
        for line, part in enumerate(_wrapped(text, font, x1 - x0 - 6)):
            pen.text((x0 + 4, side + 5 + 13 * line), part, fill=ink, font=font)
        start = end
    return page


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines[:3]


if __name__ == "__main__":
    for name, (video, marks) in WAYS.items():
        path = ROOT / "docs" / f"guide-{name}.png"
        draw(video, marks).quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
