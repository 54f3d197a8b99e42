"""What suites share that play on whole systems: processes that start warm, stores that are copied, platforms."""
