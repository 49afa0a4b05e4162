"""How fast inference is, against the naive way: recorded videos in batches, and one live stream; same texts required.

    OMP_NUM_THREADS=1 python -m benchmarks.inference --model_path recipes/nano/model --windows 512
    OMP_NUM_THREADS=1 python -m benchmarks.inference --model_path runs/demo/adapter --use_lora
    OMP_NUM_THREADS=1 python -m benchmarks.inference --shape 2b --live 3 --max_new_tokens 24 --pixels 96

Both sides read the same frames, use the same batch size and run in turns in one process. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from benchmarks.naive import naive_answers
from dataset.inputs import find_videos
from dataset.prompts import build_prompt
from dataset.video import VideoReader
from dataset.window import window_indices
from infer.decoding.greedy import greedy_answers
from infer.decoding.settings import Decoding
from infer.model.encoded_video import EncodedVideo
from infer.model.model import ProgressModel
from infer.model.source import ModelSource
from infer.model.window_inputs import FrameFeatures
from infer.playback import predict_video
from infer.request import choose_window
from infer.stream import ProgressStream

TASK = "Pick up the red puck and bring it to the blue goal marker"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", default="recipes/nano/model")
    parser.add_argument("--use_lora", action="store_true")
    parser.add_argument("--videos", nargs="+", default=["recipes/demo/held_out"], help="files, folders, globs")
    parser.add_argument("--task", default=TASK)
    parser.add_argument("--windows", type=int, default=512, help="windows in all, over the videos in turn")
    parser.add_argument("--live", type=int, default=60, help="windows of the live stream; 0 leaves it out")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--max_new_tokens", type=int, default=256)
    parser.add_argument("--shape", choices=("2b",), help="Qwen3-VL-2B's shape with random weights: a live stream only")
    parser.add_argument("--pixels", type=int, default=512, help="side of an image, with --shape 2b")
    arguments = parser.parse_args()
    if arguments.shape == "2b":
        random_weights(arguments)
        return
    model = ProgressModel.load(ModelSource(arguments.model_path, arguments.use_lora))
    print(f"{arguments.model_path}, {model.device}, {model.base.dtype}, {torch.get_num_threads()} torch threads\n")
    batches(model, arguments)
    if arguments.live:
        live(model, arguments)


def random_weights(arguments: argparse.Namespace) -> None:
    """One stream through a large model: answers of fixed length, each drafted from the earlier ones."""
    from benchmarks.train_speed import random_2b
    from train.recipe import read_recipe

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = random_2b(read_recipe("recipes/nano.yaml", ["data.annotations=[x]"]), device, arguments.pixels)
    model.end_token_ids = frozenset()  # fixed-length answers
    window, prompt = choose_window(model.progress_config), build_prompt(arguments.task)
    reader = VideoReader(find_videos(arguments.videos)[0])
    indices = range(30, 30 + arguments.live)
    windows = [window_indices(window, t, reader.timing) for t in indices]
    pictures = dict(reader.iter_frames({i for window_frames in windows for i in window_frames}))
    features: dict[int, FrameFeatures] = {}
    drafts: list[list[int]] = []
    print(f"Qwen3-VL-2B's shape, {device}, {model.base.dtype}, images of {arguments.pixels} pixels a side\n")
    print("| window | naive s | infer s | steps | tokens equal |\n|---|---|---|---|---|")
    for number, frames in enumerate(windows):
        started = time.perf_counter()
        for i in frames:
            if i not in features:
                features[i] = model.encode_frames(pictures[i][None])[0]
        row = [features[i] for i in frames]
        (answer,) = greedy_answers(model, [row], [prompt], arguments.max_new_tokens, [drafts])
        ours = time.perf_counter() - started
        drafts = [answer.tokens, *drafts][:4]
        started = time.perf_counter()
        (text,) = naive_answers(model, [[pictures[i] for i in frames]], prompt, arguments.max_new_tokens)
        naive = time.perf_counter() - started
        same = model.tokenizer.decode(answer.tokens, skip_special_tokens=True) == text
        print(f"| {number} | {naive:.1f} | {ours:.1f} | {answer.steps} | {'yes' if same else 'no'} |", flush=True)


def batches(model: ProgressModel, arguments: argparse.Namespace) -> None:
    """Recorded videos: windows per second of both, all answers compared."""
    window, prompt = choose_window(model.progress_config), build_prompt(arguments.task)
    left, ours, naive, compared, equal, encodings, distinct_frames = arguments.windows, 0.0, 0.0, 0, 0, [0], 0
    texts: set[str] = set()
    count_encodings(model, encodings)
    paths = find_videos(arguments.videos)
    while left > 0:
        for path in paths:
            reader = VideoReader(path)
            frames = list(range(min(left, len(reader))))
            left -= len(frames)
            if not frames:
                break
            windows = [window_indices(window, t, reader.timing) for t in frames]
            distinct_frames += len({index for indices in windows for index in indices})

            before = encodings[0]
            started = time.perf_counter()
            predictions = list(
                predict_video(
                    model, EncodedVideo(model, VideoReader(path)), arguments.task, window, frames,
                    decoding=Decoding(arguments.max_new_tokens, batch_size=arguments.batch_size),
                )
            )  # fmt: skip
            ours += time.perf_counter() - started
            encoded = encodings[0] - before

            started = time.perf_counter()
            pictures = dict(VideoReader(path).iter_frames({index for indices in windows for index in indices}))
            answers: list[str] = []
            for first in range(0, len(frames), arguments.batch_size):
                part = [[pictures[i] for i in indices] for indices in windows[first : first + arguments.batch_size]]
                answers += naive_answers(model, part, prompt, arguments.max_new_tokens)
            naive += time.perf_counter() - started

            encodings[0] = before + encoded  # the naive side's own are not counted
            texts.update(answers)
            compared += len(answers)
            equal += sum(
                prediction.model_output == answer for prediction, answer in zip(predictions, answers, strict=True)
            )
    print(
        "| recorded video | windows/s | image encodings |\n|---|---|---|\n"
        f"| naive | {compared / naive:.1f} | {compared * window.size} |\n"
        f"| infer | {compared / ours:.1f} | {encodings[0]} ({distinct_frames} distinct frames) |\n\n"
        f"{naive / ours:.1f} times as fast; {equal} of {compared} texts equal, {len(texts)} different ones in all.\n"
    )


def count_encodings(model: ProgressModel, counter: list[int]) -> None:
    """Count the images that pass the vision tower."""

    def count(module, arguments, keywords) -> None:
        counter[0] += len(keywords["grid_thw"])

    model.base.model.visual.register_forward_pre_hook(count, with_kwargs=True)


def live(model: ProgressModel, arguments: argparse.Namespace) -> None:
    """One stream: time from a new frame to its answer, both sides in turns."""
    window, prompt = choose_window(model.progress_config), build_prompt(arguments.task)
    reader = VideoReader(find_videos(arguments.videos)[0])
    stream = ProgressStream(model, arguments.task, fps=reader.fps, decoding=Decoding(arguments.max_new_tokens))
    pictures, ours, naive, equal = [], [], [], 0
    for index, frame in reader.iter_frames(range(min(arguments.live, len(reader)))):
        pictures.append(frame)
        started = time.perf_counter()
        prediction = stream.push(frame)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        frames_of_window = [pictures[i] for i in window_indices(window, index, reader.timing)]
        (answer,) = naive_answers(model, [frames_of_window], prompt, arguments.max_new_tokens)
        naive.append(time.perf_counter() - started)
        equal += prediction.model_output == answer
    print("| live stream | median ms | mean ms | 95 % ms |\n|---|---|---|---|")
    for name, seconds in (("naive", naive), ("infer", ours)):
        ordered = sorted(seconds)
        print(
            f"| {name} | {1000 * statistics.median(seconds):.0f} | {1000 * statistics.mean(seconds):.0f} | "
            f"{1000 * ordered[int(0.95 * (len(ordered) - 1))]:.0f} |"
        )
    print(
        f"\n{statistics.median(naive) / statistics.median(ours):.1f} times as fast in the median, "
        f"{statistics.mean(naive) / statistics.mean(ours):.1f} in the mean; {equal} of {len(ours)} texts equal.\n"
    )


if __name__ == "__main__":
    main()
