"""Classes of objects: the features of a network that they are learned from, and its outputs for them."""
