"""The parts of ``flowseg predict``."""
