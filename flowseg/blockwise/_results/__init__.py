"""Results of label images larger than memory: tables, measurements, outlines, scores, thumbnails."""
