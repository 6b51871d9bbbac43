"""What `flowseg compare` and `flowseg curve` share: what they train, and how they report the result."""
