"""Many files into one output folder: plan, run, report, and ``--resume``."""
