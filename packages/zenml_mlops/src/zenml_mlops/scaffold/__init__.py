"""A new project of another use case: ``zenml_pipelines/`` and ``configs/`` from a table, the rest as it is."""
