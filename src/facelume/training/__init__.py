"""Training of the networks: loops, checkpoints and run files."""
