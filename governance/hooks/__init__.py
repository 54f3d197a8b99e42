"""Observers of steps and runs: they notify others of what happened and change nothing."""
