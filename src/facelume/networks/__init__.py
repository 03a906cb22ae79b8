"""Neural networks: modules and their configuration, nothing else."""
