"""Losses as pure functions of tensors; weights and schedules belong to the training."""
