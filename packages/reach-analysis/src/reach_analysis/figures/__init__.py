"""Figures: functions that draw results, and one look for all."""
