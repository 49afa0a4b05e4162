"""Compare reports: runs side by side. Imported by `python -m infer.report --compare` only."""
