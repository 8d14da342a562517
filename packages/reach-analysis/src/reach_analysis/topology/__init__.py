"""Persistent homology of latents and layers beside matched nulls (extra `topology`)."""
