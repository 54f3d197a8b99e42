"""A pipeline without an owner, for the tests of the run-start guard."""
