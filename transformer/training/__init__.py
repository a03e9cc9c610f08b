"""Training: step and loop, optimizers and schedules, checkpoints, logs."""
