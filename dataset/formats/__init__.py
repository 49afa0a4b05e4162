"""Formats of other labelling tools and trainers, for `python -m dataset.convert` and `python -m dataset --export`."""
