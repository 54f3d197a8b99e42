"""DAG bundles that move on only to what can be parsed."""
