"""What gates measure and judge."""
