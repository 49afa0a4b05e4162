"""`python -m train` with FSDP on CPU processes, for the test: accelerate shards on accelerators only.

It is told that the processes of this run have one each; weights and gradients stay on the CPU, gathered through gloo.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from accelerate.state import PartialState
from accelerate.utils import DistributedType
from transformers import TrainerCallback

import train.configs
import train.trainer
from train.__main__ import main, make_parser


class SayHowWeightsAreHeld(TrainerCallback):
    """Print it after the first step."""

    def on_step_end(self, args, state, control, model=None, **kwargs) -> None:
        if state.global_step == 1:
            learning = next(weight for weight in model.parameters() if weight.requires_grad)
            print(f"parameters are {type(learning).__name__}", flush=True)


def pretend(cls, method: str, replacement) -> None:
    """Wrap a method: `replacement(original, self, ...)`."""
    original = getattr(cls, method)
    setattr(cls, method, lambda self, *args, **kwargs: replacement(original, self, *args, **kwargs))


def as_accelerators(original, self, *args, **kwargs) -> None:
    original(self, *args, **kwargs)
    if self.__dict__.get("distributed_type") == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


def with_callback(original, self, *args, **kwargs) -> None:
    original(self, *args, **kwargs)
    self.add_callback(SayHowWeightsAreHeld())


def allow_sharding(recipe, folder, forced=train.configs._forced):
    real = torch.cuda.is_available
    torch.cuda.is_available = lambda: True
    try:
        return forced(recipe, folder)
    finally:
        torch.cuda.is_available = real


pretend(PartialState, "__init__", as_accelerators)
pretend(train.trainer.ProgressTrainer, "__init__", with_callback)
train.configs._forced = allow_sharding
main(make_parser().parse_args())
