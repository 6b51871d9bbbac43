"""Images and labels of any size, in files, stores and arrays."""
