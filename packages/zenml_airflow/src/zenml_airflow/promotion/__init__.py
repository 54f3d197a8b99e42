"""The tasks of a promotion DAG."""
