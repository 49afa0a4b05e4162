import numpy as np
import pytest
import torch

from infer.decoding.seeded_draws import SeededDraws


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_tokens_are_drawn_by_their_probabilities(temperature):
    logits = torch.tensor([[2.0, 0.0, -torch.inf, 1.0]])
    draws = SeededDraws(1, [0], temperature)
    drawn = [int(draws(None, logits).argmax()) for _ in range(4000)]
    shares = np.bincount(drawn, minlength=4) / 4000
    np.testing.assert_allclose(shares, (logits[0] / temperature).softmax(-1).numpy(), atol=0.025)
    assert shares[2] == 0.0


def test_one_token_is_left():
    scores = SeededDraws(0, [0, 1], 1.0)(None, torch.zeros(2, 5))
    assert (scores == 0).sum(-1).tolist() == [1, 1] and torch.isinf(scores).sum(-1).tolist() == [4, 4]
