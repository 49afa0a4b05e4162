"""Errors of models and adapters that a user can correct; each message names the value and what to do."""


class ModelError(ValueError):
    """A base model or an adapter that cannot be used in the requested way."""
