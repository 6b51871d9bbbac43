"""The comparison of segmenters on the same folds of annotated images: `flowseg.compare` and `flowseg compare`."""

from flowseg._nets import backends

backends.check_others()
