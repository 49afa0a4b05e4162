"""Take the README's pictures of the labelling page: python tests/annotate_screenshots.py [runs/demo/predictions]

Shows the bundled simulated episodes, and the predictions of the last `make demo`.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from pathlib import Path

from annotate_page import CHROMIUM_FLAGS, Editor, serving
from material import DEMO, ROOT
from PIL import Image
from playwright.sync_api import sync_playwright

from annotate.queue import find_episodes

TASK = "Pick up the red puck and bring it to the blue goal marker"
STEPS = ((46, "Move the gripper to the red puck"), (70, "Lift the red puck off the table"))


def main(predictions: Path) -> None:
    """Write docs/annotate-{light,dark,conflict,samples,results}.png."""
    videos = ROOT / "data"  # commands on the page name it
    if videos.exists():
        sys.exit(f"{videos} exists; move it away, the pictures need a folder of this name")
    with contextlib.ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        stack.callback(shutil.rmtree, videos, ignore_errors=True)
        shutil.copytree(DEMO / "held_out", videos)
        for name in ("failure_open", "recovery", "pause", "success_2"):
            (videos / f"{name}.json").unlink()
        shutil.copy(DEMO / "demo.mp4", videos)
        ids = {episode.video.stem: key for key, episode in find_episodes([videos]).items()}
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        with serving("--video", videos, "--task", TASK) as server:

            def open_page(episode: str, height: int = 940, **options: object) -> Editor:
                size = {"width": 1440, "height": height}
                page = browser.new_context(viewport=size, device_scale_factor=1, **options).new_page()
                editor = Editor(page, server.url).open(f"?episode={ids[episode]}")
                editor.wait("proposals", lambda value: value != "")
                page.wait_for_timeout(1000)
                return editor

            light = open_page("demo")
            for frame, text in STEPS:
                light.mark(frame, text)
            light.go(97)
            light.press("Enter")
            light.type("Carry the red puck to the blue goal marker")
            light.page.wait_for_timeout(600)
            save(light, "light")
            light.press("Enter", "d")
            light.press("Enter")
            light.go(60)
            light.press("Control+Enter")
            light.wait("samples", "done")
            light.page.set_viewport_size({"width": 1440, "height": 1400})
            light.page.wait_for_timeout(1500)
            save(light, "samples")
            light.page.set_viewport_size({"width": 1440, "height": 940})

            other = open_page("demo")
            light.page.fill("#task", TASK + " gently")
            light.settled()
            other.page.fill("#task", "Bring the red puck to the blue marker")
            other.wait("save", "conflict")
            save(other, "conflict")

            dark = open_page("recovery", color_scheme="dark")
            dark.mark(40, "Move the gripper to the red puck")
            dark.mark(62, "Lift the red puck off the table")
            dark.press("b")
            dark.mark(70, "/delete")
            dark.go(76)
            dark.press("+", "f", "Escape")
            dark.page.wait_for_timeout(1200)
            save(dark, "dark")

            predictor = open_page("failure_stop", height=1400)
            predictor.page.click("#predictions-tab")
            files = [predictions / f"failure_stop.{model}.jsonl" for model in ("base", "adapter")]
            predictor.page.set_input_files("#prediction-files", files)
            predictor.wait("predictions", 2)
            predictor.go(60)
            predictor.page.wait_for_timeout(1200)
            save(predictor, "results")
        browser.close()


def save(editor: Editor, name: str) -> None:
    """Save what the tab shows as a small PNG."""
    path = ROOT / "docs" / f"annotate-{name}.png"
    path.parent.mkdir(exist_ok=True)
    picture = Image.open(io.BytesIO(editor.page.screenshot())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "demo" / "predictions")
