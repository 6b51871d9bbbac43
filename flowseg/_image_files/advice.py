"""What to do about a file whose axes are not those that are needed."""

from __future__ import annotations

from flowseg._image_files.selection import AXES

# The meaning of letters, as the end of a sentence about axes without names.
MEANINGS = "T time, Z planes, C channels, Y rows, X columns, S color"


def advise_on_image(names: str) -> str:
    """Return advice on axes that are too many for an image."""
    choices = {"Z": "a plane with z", "T": "a time with t", "C": "a channel with channel"}
    chosen = [choice for name, choice in choices.items() if name in names and (name != "C" or "S" in names)]
    unnamed = _unnamed(names)
    advice = f"Choose {', '.join(chosen)}. " if chosen else ""
    if unnamed:
        advice += f"Name {unnamed} with axes, one letter per axis: {MEANINGS}."
    return advice.rstrip()


def advise_on_volume(names: str) -> str:
    """Return advice on axes that are not those of a volume: a film is never taken for one."""
    unnamed = _unnamed(names)
    if unnamed:
        return f"Name {unnamed} with axes, one letter per axis, such as ZYX for a volume: {MEANINGS}."
    if "T" in names and "Z" in names:
        return "T is time: choose one with t, or, if these are planes, name the axes with axes."
    if "T" in names:
        return "T is time: if these are planes, name the axes with axes, such as ZYX."
    if "Z" in names:
        return "Choose a channel with channel."
    if "C" in names:
        return "C is channels: if these are planes, name the axes with axes, such as ZYX."
    if "S" in names:
        return "S is color: if these are planes, name the axes with axes, such as ZYX."
    return "It is one plane: a volume is one file with all its planes."


def _unnamed(names: str) -> str:
    return ", ".join(sorted({name for name in names if name not in AXES}))
