"""What tasks tell OpenLineage."""
