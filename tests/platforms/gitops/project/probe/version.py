"""Changed by the suite to deploy another version."""

VERSION = 1
