"""Sensors and their triggers."""
