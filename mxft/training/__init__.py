"""Training: fit, schedules and callbacks."""
