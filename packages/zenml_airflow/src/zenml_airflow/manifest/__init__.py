"""The manifest and what it becomes: reviewable JSON, a plan of tasks, the options of launchers."""
