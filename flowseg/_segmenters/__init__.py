"""The two estimators, and what they learn."""
