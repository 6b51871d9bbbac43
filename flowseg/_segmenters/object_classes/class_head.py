"""The classes that a network tells apart, and the classes of objects from its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from flowseg import _checks

# Pixels that are summed at a time: `np.bincount` makes 64-bit copies of its arguments.
CHUNK = 1 << 20

# Columns of the table of objects.
CLASS, PROBABILITY = "class", "class_probability"


@dataclass(frozen=True)
class ClassHead:
    """The classes of a network's last outputs, a logit for each, and the temperature of their probabilities.

    The class of an object is that of the largest mean logit of its pixels. Its probability is the softmax of the means,
    divided by the temperature, which `fit` learns on objects of known class [1]_.

    References
    ----------
    .. [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017.
    """

    names: tuple[str, ...]
    temperature: float = 1.0

    def describe(self, masks: NDArray[Any], logits: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return the class of each object 1..n and its probability, as columns of a table."""
        probabilities = softmax(mean_outputs(masks, logits) / self.temperature, axis=1)
        chosen = probabilities.argmax(axis=1)
        return {CLASS: np.array(self.names)[chosen], PROBABILITY: probabilities[np.arange(chosen.size), chosen]}

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON values for a model file."""
        return {"names": list(self.names), "temperature": self.temperature}


def read_class_head(document: Any) -> ClassHead | None:
    """Return the classes in a model file's JSON, checked; None where the file has none."""
    if document is None:
        return None
    if not isinstance(document, dict) or set(document) != {"names", "temperature"}:
        raise ValueError(f"classes must be an object with names and temperature; got {document!r}.")
    names = document["names"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f"names of classes must be a list of texts; got {names!r}.")
    if len(names) < 2 or len({*names}) < len(names):
        raise ValueError(f"names of classes must be at least two, all different; got {names!r}.")
    temperature = _checks.as_number(document["temperature"], "temperature of classes", low=0.0, open_low=True)
    return ClassHead(tuple(names), temperature)


def mean_outputs(masks: NDArray[Any], outputs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the mean of each output over the pixels of each object 1..n, shape (n, n_outputs)."""
    number, n = masks.ravel(), int(masks.max(initial=0))
    sums = np.zeros((outputs.shape[-1], n + 1))
    for channel, total in zip(np.moveaxis(outputs, -1, 0), sums, strict=True):
        values = channel.ravel()
        for start in range(0, number.size, CHUNK):
            part = slice(start, start + CHUNK)
            total += np.bincount(number[part], values[part], n + 1)
    sizes = np.bincount(number, minlength=n + 1)
    means: NDArray[np.float64] = (sums[:, 1:] / np.maximum(sizes[1:], 1)).T
    return means
