"""ZenML stacks as reviewed files: read, plan, apply, export."""
