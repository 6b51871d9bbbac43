"""Images in files: TIFF, pictures, and the formats of microscope vendors."""
