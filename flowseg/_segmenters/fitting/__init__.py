"""The steps of `fit`: settings, the network, the validation set, the choices made on it, the summary."""
