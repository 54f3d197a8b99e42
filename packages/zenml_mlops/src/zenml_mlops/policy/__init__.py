"""Policies as data: what is allowed, for whom, since when, and what to do about a refusal.

Nothing here imports ZenML, Airflow or a data library: Airflow's DAG processor, a step and the command line load
the same policies.
"""
