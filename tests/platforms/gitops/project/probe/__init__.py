"""Two steps that say which version of them ran."""
