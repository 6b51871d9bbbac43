"""A segmenter of images on a volume: planes of three orientations combined, or planes stitched."""
