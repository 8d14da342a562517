"""Analyse rollouts of trained controllers next to recordings of the animal."""
