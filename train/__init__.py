"""Training: recipes, and LoRA adaptation with PEFT and TRL. Heavy libraries are imported when a run starts."""

from train.recipe import Recipe, read_recipe, save_recipe

__all__ = ["Recipe", "read_recipe", "save_recipe", "train_lora"]


def __getattr__(name: str):
    if name == "train_lora":  # imports torch, PEFT and TRL
        from train.lora import train_lora

        return train_lora
    raise AttributeError(f"module 'train' has no attribute '{name}'")
