"""Metrics: labels and predictions in, figures out. No torch, no videos."""
