"""What is reported of each step that ends: the audit log, the experiment tracker, metrics."""
