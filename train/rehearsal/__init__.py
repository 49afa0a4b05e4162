"""The rehearsal: is one demonstration enough? Imported by `python -m train.enough` only."""
