"""Rollouts and recordings whose truth is known."""
