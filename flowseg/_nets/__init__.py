"""Networks, their training, and how they run over an image. Only this package uses Keras."""
