"""Videos of rollouts: the body that was simulated, and its reference as a ghost."""
