"""The classes of objects that a training learns."""

from __future__ import annotations

from flowseg._labels.classes.given import find_class_names
from flowseg._segmenters.codecs.codec import Codec
from flowseg._segmenters.codecs.flow_codec import FlowCodec
from flowseg._segmenters.fitted import Fitted, FixedParameters
from flowseg._segmenters.fitting.pairs import Pairs


def choose_class_names(
    codec: Codec, fixed: FixedParameters, pairs: Pairs, held_out: Pairs, start: Fitted | None
) -> tuple[str, ...]:
    """Return the names of classes of a training; empty without classes. Raise where it cannot learn them.

    ``fixed`` are the parameters of the network, ``pairs`` and ``held_out`` the training and the validation images, and
    ``start`` is the model to start from.
    """
    known = () if start is None or start.classes is None else start.classes.names
    if not pairs.classes:
        if known or held_out.classes:
            who = "a segmenter that was trained with classes" if known else "a validation set with classes"
            raise ValueError(f"classes must be given to train with {who}; got none.")
        return ()
    if not isinstance(codec, FlowCodec):
        raise ValueError(
            "classes must be left out for a BoundarySegmenter, which returns no table of objects; use a FlowSegmenter."
        )
    if fixed.is_custom:
        raise ValueError(
            "classes must be left out for a custom network: they are learned from the features of the networks 'unet' "
            "and 'resunet'."
        )
    return find_class_names([*pairs.classes, *held_out.classes], known)
