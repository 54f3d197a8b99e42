"""What is told of each step that ends: the audit log, the experiment tracker, metrics."""
