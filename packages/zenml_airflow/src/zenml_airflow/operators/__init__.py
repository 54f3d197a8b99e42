"""The tasks that run steps, one module a launcher."""
