"""The parts of ``flowseg suggest``."""
