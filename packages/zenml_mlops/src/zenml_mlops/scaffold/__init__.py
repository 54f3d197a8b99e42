"""A new project of another use case: a contract and limits from a table, all else depends on the platform."""
