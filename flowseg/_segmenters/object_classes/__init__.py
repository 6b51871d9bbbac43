"""Classes of objects: as `fit` is given them, as the network's outputs name them, and with what probability."""
