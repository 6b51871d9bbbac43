"""What to annotate next, in the viewer."""
