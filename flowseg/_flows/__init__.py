"""The method: masks to flows, and flows to masks."""
