"""What a use case declares, and its data on the way in: source, replayed days, partitions, row checks."""
