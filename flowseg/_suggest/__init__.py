"""Which images, and which boxes in them, to annotate next."""
