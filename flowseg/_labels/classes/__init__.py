"""Classes of objects by their labels."""
