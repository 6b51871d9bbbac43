"""What the commands that train share: their options, and the segmenter that these make."""
