"""Buttons on a task."""
