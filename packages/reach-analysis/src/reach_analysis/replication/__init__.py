"""The public notebooks' choices beside ours: what each of them alone does to a score."""
