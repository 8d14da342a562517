"""Defaults of each verb, for Hydra."""
