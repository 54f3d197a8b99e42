"""The environment of a process, and what is checked before it is used."""
