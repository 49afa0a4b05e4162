"""The model: base and adapters, their folders, and the inputs that are made from frames and texts."""
