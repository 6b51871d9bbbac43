"""Label images: components, overlaps, outlines, measurements, faults and their repair."""
