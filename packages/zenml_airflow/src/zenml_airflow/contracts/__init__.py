"""What all rooms agree on: a leaf that imports nothing of ours."""
