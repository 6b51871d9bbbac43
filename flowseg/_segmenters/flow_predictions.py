"""What a segmenter of flows predicts besides masks: flows, and tables of objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from flowseg._segmenters.codecs.codec import Outputs
from flowseg._segmenters.inputs import ArrayLike, Diameters, Spacings
from flowseg._segmenters.learned_decoding.object_table import Table
from flowseg._segmenters.pipeline import map_images, pipeline_of
from flowseg._segmenters.volumes.prediction import VolumePrediction

Flows = tuple[NDArray[np.float32], NDArray[np.float32]]  # flows and cellprob of an image
Objects = tuple[NDArray[np.int32], Table]  # masks of an image and the table of their objects


class FlowPredictions(VolumePrediction):
    """Base class of `FlowSegmenter`: its further predictions."""

    @overload
    def predict_flows(
        self, images: NDArray[Any], *, diameters: Diameters = None, spacing: Spacings = None
    ) -> Flows: ...
    @overload
    def predict_flows(
        self, images: Sequence[Any], *, diameters: Diameters = None, spacing: Spacings = None
    ) -> list[Flows]: ...
    @overload
    def predict_flows(
        self, images: ArrayLike, *, diameters: Diameters = None, spacing: Spacings = None
    ) -> Flows | list[Flows]: ...
    def predict_flows(self, images: Any, *, diameters: Any = None, spacing: Any = None) -> Any:
        """Return flows and foreground, before they become masks.

        Parameters
        ----------
        images, diameters, spacing
            As for `predict`.

        Returns
        -------
        flows : ndarray of float32, shape (2, rows, columns) or (3, planes, rows, columns)
            In unit length, row before column: ready for `flows_to_masks`.
        cellprob : ndarray of float32, shape (rows, columns)
            Logit of "this pixel is in an object". A list or a stack of images gives a list of such pairs.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict`.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> image, masks = synthetic.cells((96, 96), 8, rng=0)
        >>> flows, cellprob = FlowSegmenter.from_pretrained("nuclei").predict_flows(image)
        >>> flows.shape, cellprob.shape
        ((2, 96, 96), (96, 96))
        """
        pipeline = pipeline_of(self)
        return map_images(pipeline, images, diameters, spacing, lambda _, outputs: pipeline.flows(outputs))

    @overload
    def predict_objects(
        self, images: NDArray[Any], *, diameters: Diameters = None, spacing: Spacings = None
    ) -> Objects: ...
    @overload
    def predict_objects(
        self, images: Sequence[Any], *, diameters: Diameters = None, spacing: Spacings = None
    ) -> list[Objects]: ...
    @overload
    def predict_objects(
        self, images: ArrayLike, *, diameters: Diameters = None, spacing: Spacings = None
    ) -> Objects | list[Objects]: ...
    def predict_objects(self, images: Any, *, diameters: Any = None, spacing: Any = None) -> Any:
        """Segment images and return a table of their objects, with scores.

        Parameters
        ----------
        images, diameters, spacing
            As for `predict`.

        Returns
        -------
        masks : ndarray of int32, shape (rows, columns)
            As from `predict`.
        objects : dict of ndarray, shape (n_objects,)
            One column per name, ready for ``pandas.DataFrame``: ``label``; ``area`` in pixels, or ``volume`` in voxels;
            ``diameter`` of the disk or ball of this size; ``flow_error``, see `flow_errors`; ``cellprob``, mean
            logit; ``touches_border``; ``score``, the probability that the object matches a true one at IoU 0.5, NaN
            where `fit` had fewer than fifty validation objects to learn it from. With classes, see `fit`, also
            ``class``, its name, and ``class_probability``, the probability that it is right for an object that matches
            a true one. A list or a stack of images gives a list of such pairs.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict`.

        Warns
        -----
        UserWarning
            As `predict`.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, synthetic
        >>> image, masks = synthetic.cells((96, 96), 8, rng=0)
        >>> found, objects = FlowSegmenter.from_pretrained("nuclei").predict_objects(image)
        >>> sorted(objects)
        ['area', 'cellprob', 'diameter', 'flow_error', 'label', 'score', 'touches_border']
        >>> doubtful = objects["label"][objects["score"] < 0.5]
        """
        pipeline = pipeline_of(self)
        pipeline.check_learned()
        check = pipeline.image_check()

        def finish(image: NDArray[Any], outputs: Outputs) -> tuple[NDArray[np.int32], Table | None]:
            found = pipeline.decode_objects(outputs)
            check.look(image, outputs, found[0])
            return found

        found = map_images(pipeline, images, diameters, spacing, finish)
        check.warn(stacklevel=2)
        return found
