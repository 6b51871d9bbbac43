"""Images in files: TIFF, pictures, and the formats of microscopes' makers."""
