"""Flows and cellprob to masks and scored objects; thresholds and scores are learned on validation images."""
