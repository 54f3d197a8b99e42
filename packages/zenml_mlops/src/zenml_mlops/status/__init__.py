"""What runs, and what is wrong."""
