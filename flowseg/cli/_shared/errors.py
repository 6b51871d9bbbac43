"""Errors of a command as one sentence, in which parameters of the library are called by their options."""

from __future__ import annotations

import re
from traceback import walk_tb

from flowseg._system.printable import one_line

# Errors that a file or the machine may cause; any other is a bug.
FAULTS = (ValueError, TypeError, OSError, MemoryError, ImportError)

# How the note of an error begins that a task of a block-wise run raised.
TASK_NOTE = "stage "

# A MemoryError of Python has no text.
NO_MEMORY = "the file and its results must fit into memory; they do not."

# Parameters of the library whose options have other names.
OTHER_NAMES = {
    "authors": "author",
    "diameters": "diameter",
    "estimate_diameters": "estimate",
    "groups": "group-by",
    "random_state": "seed",
    "test_time_augmentation": "tta",
}
# Parameters of the library that are options.
PARAMETERS = (
    *OTHER_NAMES, "augment", "axes", "batch_size", "block_size", "box_size", "boxes_per_image", "cellprob_threshold",
    "channel", "checkpoint", "cite", "crop_size", "cv", "diameter", "epochs", "filters", "flow_threshold",
    "learning_rate", "license", "min_size", "n_iter", "ndim", "network", "normalize", "number", "patience",
    "precision", "scene", "score_threshold", "spacing", "steps_per_epoch", "t", "timeout", "train_sizes", "validation",
    "validation_fraction", "views", "workers", "z",
)  # fmt: skip
NAMES = "|".join(PARAMETERS)
# Where a sentence mentions a parameter: "z must be", "choose a plane with z, ...", "z=3".
MENTION = re.compile(
    rf"((?:^|[:;] )(?=(?:{NAMES})(?:\[\d+\])? must\b)|\b(?:with|give|set) (?=(?:{NAMES})(?:[,.:;=]|$| or\b| and\b))"
    rf"|(?<![\w'\"/.])(?=(?:{NAMES})=[\w'\"(\[]))({NAMES})(?!\w)(=?)"
)


def option_of(parameter: str) -> str:
    """Return the option that sets a parameter of the library."""
    return "--" + OTHER_NAMES.get(parameter, parameter).replace("_", "-")


def name_options(sentence: str) -> str:
    """Return a sentence of the library with its parameters called by their options."""
    return MENTION.sub(lambda match: f"{match[1]}{option_of(match[2])}{' ' if match[3] else ''}", sentence)


def sentence_of(error: BaseException) -> str:
    """Return an error as one sentence, with options for parameters.

    A line break in an error of this package is part of a file's name and stays, to be escaped where it is shown. Other
    libraries may write several lines; these are joined.
    """
    text = str(error)
    if not text.strip():
        return NO_MEMORY if isinstance(error, MemoryError) else type(error).__name__
    sentence = name_options(text if _is_of_this_package(error) else one_line(text))
    places = [one_line(note) for note in getattr(error, "__notes__", ()) if note.startswith(TASK_NOTE)]
    return f"{places[-1]}: {sentence}" if places else sentence


def _is_of_this_package(error: BaseException) -> bool:
    """Whether the error was raised in this package."""
    frame = None
    for frame, _ in walk_tb(error.__traceback__):  # noqa: B007
        pass
    return frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "flowseg"


def name_file(file: str, reason: str) -> str:
    """Return a reason that names the file it is about."""
    return reason if file in reason else f"{file}: {reason}"
