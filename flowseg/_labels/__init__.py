"""What a label image is: its objects, their outlines, their faults."""
