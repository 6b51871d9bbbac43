"""The comparison of segmenters on the same folds of annotated images: `flowseg.compare` and `flowseg compare`."""
