"""Durations in words."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Return a duration in seconds, minutes, or hours and minutes."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
