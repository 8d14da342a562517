"""Observations, actions, rewards, costs and terminations: one pure function a term."""
