"""Is this image like those of training? A few numbers of an image, and their range in training images."""
