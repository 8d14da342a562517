"""Hydra presets and defaults."""
