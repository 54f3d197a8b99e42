"""Scoring: batches and single rows with the model version in a stage, shards, shadows, and the ZenML steps."""
