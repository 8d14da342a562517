"""What the body does: errors of tracking, survival, gait, power spectra, sweeps over settings."""
