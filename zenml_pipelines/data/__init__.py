"""Data access: fetch, split, and replay as daily partitions.

Everything here takes paths and configuration as arguments; nothing reads the environment or a settings file.
"""
