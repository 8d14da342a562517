"""The public notebooks' choices compared with ours: the effect of each alone on a score."""
