import numpy as np
import pytest
import torch
from material import write_video

import train.features
from infer.model.model import ProgressModel
from train.features import Share, prepare_frames, vision_fingerprint
from train.recipe import FeaturesSection


@pytest.fixture
def needed(video):
    return {str(video): {*range(0, 20), 33, 39}}


@pytest.fixture
def encoded(monkeypatch):
    """Count the frames that the vision tower encodes."""
    counts = []
    real = ProgressModel.encode_frames

    def counting(self, frames, *rest):
        counts.append(len(frames))
        return real(self, frames, *rest)

    monkeypatch.setattr(ProgressModel, "encode_frames", counting)
    return counts


def on_disk(tmp_path) -> FeaturesSection:
    return FeaturesSection(memory_gb=0.0, cache=str(tmp_path / "cache"))


def test_disk_and_memory_hold_the_same_features(nano, needed, tmp_path, encoded):
    memory = prepare_frames(nano, needed, FeaturesSection())
    assert sum(encoded) == 22 + 1  # one to know the size
    disk = prepare_frames(nano, needed, on_disk(tmp_path))
    assert set(memory) == set(disk) == {(video, i) for video, indices in needed.items() for i in indices}
    for key, one in memory.items():
        torch.testing.assert_close(disk[key].values, one.values, rtol=1e-5, atol=1e-4)  # other groups
        assert disk[key].grid_thw == one.grid_thw
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_next_run_encodes_nothing_again(nano, needed, tmp_path, encoded):
    first = prepare_frames(nano, needed, on_disk(tmp_path))
    kept = {key: first[key].values.clone() for key in first}
    encoded.clear()
    again = prepare_frames(nano, needed, on_disk(tmp_path))
    assert encoded == [1]  # one to know the size
    assert all(torch.equal(again[key].values, values) for key, values in kept.items())


def test_a_killed_run_leaves_whole_groups_and_the_same_bits(nano, needed, tmp_path, monkeypatch):
    whole = prepare_frames(nano, needed, on_disk(tmp_path / "whole"))
    real, groups = train.features.prepare_group, []

    def dying(model, frames, as_pixels):
        groups.append(len(frames))
        if len(groups) == 4:  # size, shape, first group, second group
            raise KeyboardInterrupt
        return real(model, frames, as_pixels)

    monkeypatch.setattr(train.features, "prepare_group", dying)
    with pytest.raises(KeyboardInterrupt):
        prepare_frames(nano, needed, on_disk(tmp_path / "cut"))
    monkeypatch.setattr(train.features, "prepare_group", real)
    cut = prepare_frames(nano, needed, on_disk(tmp_path / "cut"))
    assert all(torch.equal(cut[key].values, whole[key].values) for key in whole)


def test_each_process_encodes_its_part(nano, needed, tmp_path, encoded):
    prepare_frames(nano, needed, on_disk(tmp_path), share=Share(0, 2))
    assert sum(encoded) == 2 + 16 + 2  # size and shape; frames 0 to 15; 33 and 39 are in group 2
    encoded.clear()
    both = prepare_frames(nano, needed, on_disk(tmp_path), share=Share(1, 2))
    assert sum(encoded) == 1 + 4  # frames 16 to 19
    assert len(both) == 22


def test_what_features_depend_on_is_in_the_key(nano, needed, tmp_path, encoded, monkeypatch):
    prepare_frames(nano, needed, on_disk(tmp_path))
    size = dict(nano.image_processor.size)
    monkeypatch.setattr(nano.image_processor, "size", {**size, "longest_edge": size["longest_edge"] // 2})
    encoded.clear()
    prepare_frames(nano, needed, on_disk(tmp_path))
    assert sum(encoded) > 20
    monkeypatch.undo()
    weight = nano.base.model.visual.patch_embed.proj.weight
    before = vision_fingerprint(nano)
    with torch.no_grad():
        kept = weight.flatten()[0].clone()
        weight.view(-1)[0] += 1
        changed = vision_fingerprint(nano)
        weight.view(-1)[0] = kept
    assert changed != before == vision_fingerprint(nano)


def test_bfloat16_survives_the_disk(nano, needed, tmp_path, monkeypatch):
    real = ProgressModel.encode_frames

    def rounded(self, frames, *rest):
        return [
            type(one)(one.embedding.bfloat16(), tuple(layer.bfloat16() for layer in one.deepstack), one.grid_thw)
            for one in real(self, frames, *rest)
        ]

    monkeypatch.setattr(ProgressModel, "encode_frames", rounded)
    memory, disk = (prepare_frames(nano, needed, s) for s in (FeaturesSection(), on_disk(tmp_path)))
    key = next(iter(memory))
    assert disk[key].values.dtype == torch.bfloat16
    torch.testing.assert_close(disk[key].values, memory[key].values, rtol=0, atol=0.02)


def test_pixels_are_prepared_once_for_a_vision_tower_that_learns(nano, needed, video):
    from dataset.video import VideoReader

    prepared = prepare_frames(nano, needed, FeaturesSection(), as_pixels=True)
    direct = nano.preprocess(VideoReader(video).frames([0, 33]))
    together = torch.cat([prepared[str(video), i].values[0] for i in (0, 33)])
    assert torch.equal(together, direct["pixel_values"])


def test_two_videos_do_not_mix(nano, video, tmp_path):
    other = write_video(tmp_path / "other.mp4", 8, bf="0")
    both = prepare_frames(nano, {str(video): {0, 1}, str(other): {7}}, on_disk(tmp_path))
    assert len(both) == 3
    assert not np.array_equal(both[str(video), 0].values, both[str(other), 7].values)
