"""The base class of Keras callbacks, with types, which Keras lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class Callback:
        """The part of `keras.callbacks.Callback` that is used here."""

        model: Any  # keras.Model
        params: dict[str, Any]  # "epochs" and "steps"

else:
    from flowseg._nets.load_keras import keras

    Callback = keras.callbacks.Callback

__all__ = ["Callback"]
