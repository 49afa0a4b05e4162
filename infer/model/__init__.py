"""The model: base, adapters on it, their folders, and what one window becomes before the forward pass."""
