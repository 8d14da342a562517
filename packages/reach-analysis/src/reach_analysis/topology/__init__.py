"""Persistent homology of latents and layers, with matched nulls (extra `topology`)."""
