"""Films of rollouts: the simulated body, and its reference as a ghost."""
