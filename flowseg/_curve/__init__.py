"""Average precision against the number of annotated images: `flowseg.learning_curve` and `flowseg curve`."""
