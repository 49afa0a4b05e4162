"""Encoding every frame once changes nothing but the time: the same losses as the naive path, in float32."""

import argparse

import pytest
import train_speed


@pytest.mark.slow
def test_losses_equal_the_naive_paths():
    arguments = argparse.Namespace(shape="nano", epochs=3, steps=6, batch=4, pixels=None)
    naive, once = (train_speed.run_path(path, arguments) for path in train_speed.PATHS)
    assert len(once["losses"]) == 6 and len(set(once["losses"])) == 6
    assert once["losses"] == pytest.approx(naive["losses"], rel=1e-5)
    assert once["samples"] == naive["samples"]
