"""Evaluating a run: playing its clips, tables, figures and words for a reader."""
