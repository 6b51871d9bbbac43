"""The training of a network: samples, batches of augmented crops, the loop, what it leaves on disk."""
