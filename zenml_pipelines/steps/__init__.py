"""ZenML steps: thin typed functions over the plain modules of this package."""
