"""A comparison of two versions in a second: it says of a version what its metadata plans."""
