"""What latents, layers, muscles and EMG have in common: principal components, similarity, synergies."""
