"""Networks, their training, and how they run over an image. Keras is used here only."""
