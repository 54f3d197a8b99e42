"""The settings of a project: one environment, read once."""
