"""ZenML pipelines, one module each."""
