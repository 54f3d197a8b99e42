"""Lineage of predictions, from the records of ZenML and the audit log: a tree, and its pictures."""

from governance.lineage.nodes import Kind, Node, Report, State
from governance.lineage.records import Lineage

__all__ = ["Kind", "Lineage", "Node", "Report", "State"]
