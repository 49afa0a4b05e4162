"""Errors of models and adapters that a person can mend; each message names the value and the remedy."""


class ModelError(ValueError):
    """A base model or an adapter that cannot be used as asked."""
