"""Networks with small fixed data, each a lesson."""
