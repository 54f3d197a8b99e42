"""Observers of steps and runs: they tell others what happened and change nothing."""
