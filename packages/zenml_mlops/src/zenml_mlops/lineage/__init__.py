"""Lineage of predictions, from the records of ZenML and the audit log: a tree, and its pictures."""

from zenml_mlops.lineage.nodes import Kind, Node, Report, State
from zenml_mlops.lineage.records import Lineage

__all__ = ["Kind", "Lineage", "Node", "Report", "State"]
