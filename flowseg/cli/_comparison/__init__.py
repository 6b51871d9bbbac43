"""What `flowseg compare` compares, and how it reports the result."""
