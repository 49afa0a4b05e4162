import pytest
import torch

from infer.model.batch_limit import BatchLimit
from infer.model.errors import ModelError


def scarce(most: int, kind=torch.OutOfMemoryError, text="out of memory"):
    """Return a function that doubles its items and fails on more than `most` at once."""
    calls = []

    def double(items):
        calls.append(len(items))
        if len(items) > most:
            raise kind(text)
        return [2 * item for item in items]

    return double, calls


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory"),
        (RuntimeError, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        (RuntimeError, "MPS backend out of memory"),
    ],
)
def test_the_batch_is_halved_and_stays_so(kind, text, caplog):
    double, calls = scarce(3, kind, text)
    limit = BatchLimit(8, "windows")
    assert limit.run(double, list(range(10))) == [2 * i for i in range(10)]
    assert calls == [8, 4, 2, 2, 2, 2, 2]
    assert limit.size == 2
    assert "continuing with 2 windows at a time" in caplog.text


def test_one_item_that_does_not_fit_raises():
    with pytest.raises(ModelError, match=r"with a batch of one \(windows\); lower max_pixels"):
        BatchLimit(2, "windows").run(scarce(0)[0], [1, 2])


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes do not match"):
        BatchLimit(2, "windows").run(scarce(0, RuntimeError, "shapes do not match")[0], [1])
    with pytest.raises(ValueError, match="batch size is 0"):
        BatchLimit(0, "windows")
