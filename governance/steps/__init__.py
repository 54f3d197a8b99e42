"""Shared steps that any pipeline may place: the part of ``governance`` that pipelines import.

Nothing is re-exported here, so that reading a threshold (``governance.steps.limits``) does not import ZenML.
"""
