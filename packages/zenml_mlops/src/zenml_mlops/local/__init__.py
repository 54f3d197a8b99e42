"""The services of a laptop."""
