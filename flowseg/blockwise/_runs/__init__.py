"""Runs: plan, records, tasks, and who does them."""
