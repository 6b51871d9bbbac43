"""Fitted segmenters as files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self


class Stored:
    """Adds `save` and `load` to a segmenter."""

    _check_fitted: Any
    _check_settings: Any
    _set_fitted: Any
    _restore_decoding: Any
    _check_sizes: Any
    _make_network: Any
    _find_grid: Any
    crop_size: Any
    network_: Any

    def save(self, path: str | os.PathLike[str], *, card: Mapping[str, Any] | None = None) -> None:
        """Save the trained segmenter to one ``.safetensors`` file.

        Parameters
        ----------
        path : path
            File to write. It is written beside and then renamed, so that an interruption leaves an old file as it
            was.
        card : dict, optional
            Model card: what others should know (data, licence, scores, known failures), as plain JSON values.
            ``flowseg info`` shows it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the segmenter is neither trained nor loaded.
        OSError
            If the file cannot be written.
        TypeError, ValueError
            If the card holds what is no JSON, or a parameter cannot be kept in a file.

        Examples
        --------
        >>> from flowseg import FlowSegmenter
        >>> FlowSegmenter.from_pretrained("nuclei").save("copy.safetensors")
        """
        from flowseg._segmenters import model_document, model_file

        self._check_fitted()
        self._check_settings()  # or it could not be loaded again
        document = model_document.describe(self, card)
        model_file.write_model(path, document, model_file.name_weights(self.network_))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, network: Any = None) -> Self:
        """Load a segmenter from a file that `save` wrote.

        Parameters
        ----------
        path : path
            Model file. Nothing in it is executed.
        network : callable or keras.Model, optional
            The network, for a segmenter that was trained with one of your own: the file holds its weights only.

        Returns
        -------
        segmenter : FlowSegmenter or BoundarySegmenter
            Of the class it is called on.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it is damaged, of another format, class or version, or does not fit the
            network.

        Examples
        --------
        >>> from flowseg import FlowSegmenter
        >>> FlowSegmenter.from_pretrained("nuclei").save("copy.safetensors", card={"licence": "CC0"})
        >>> FlowSegmenter.load("copy.safetensors").network
        'unet'
        """
        from flowseg._segmenters import model_document, model_file
        from flowseg._system.strict_json import shorten

        document = model_file.read_document(path)
        segmenter = model_document.rebuild(cls, document, path, network)
        model_file.check_size(path, segmenter)
        learned = segmenter._make_network(0, segmenter.crop_size)
        model_file.read_weights(path, learned)
        diameter, history = document["learned"]["diameter"], document["history"]
        segmenter._set_fitted(learned, segmenter._find_grid(learned), diameter, history)
        segmenter._trained_with = document.get("trained_with")
        try:
            segmenter._restore_decoding(document["learned"])
            segmenter._check_sizes()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} must hold what was learned; {shorten(error)}") from None
        return segmenter
