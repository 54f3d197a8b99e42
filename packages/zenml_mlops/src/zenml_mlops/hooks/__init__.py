"""What observers of steps and runs are told."""
