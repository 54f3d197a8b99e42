"""What observers of steps and runs receive."""
