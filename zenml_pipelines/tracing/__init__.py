"""From a scored row to its source and back: what the partitions on disk say of each other."""
