"""Airflow connections."""
