"""The method of both segmenters that takes a volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from flowseg._segmenters.base import Segmenter
from flowseg._segmenters.codecs.codec import Masks
from flowseg._segmenters.inputs import Diameter
from flowseg._segmenters.pipeline import pipeline_of
from flowseg._segmenters.volumes.segment import segment_volume


class VolumePrediction(Segmenter):
    """Base class of both segmenters: what those of images do with a volume."""

    def predict_volume(
        self,
        volume: Any,
        *,
        spacing: Sequence[float] | None = None,
        mode: Literal["planes", "stitch"] = "planes",
        diameters: Diameter = None,
    ) -> Masks:
        """Segment a volume with a segmenter of images (``ndim=2``).

        Parameters
        ----------
        volume : array_like, shape (planes, rows, columns) or (planes, rows, columns, n_channels)
            One volume of any numeric dtype. It has one pair of intensity limits per channel, not one per plane.
        spacing : sequence of float, optional
            Distance between voxels along each axis, three numbers. In the unit of `fit` if that was given a spacing,
            else in any unit. By default voxels count as equally long along every axis; it must be given if the pixels
            of the training images were not square.
        mode : {"planes", "stitch"}
            "planes" runs the network over the planes of all three orientations, combines its outputs and decodes them
            in 3-D. "stitch" segments the planes of rows and columns as `predict` does and joins sections that overlap.
            Use it where sections along the planes' axis do not look like training images, because they are coarse,
            blurred or noisy. It runs the network on one orientation only.
        diameters : float, "estimate" or None
            Typical diameter of the objects as planes show them, in pixels of the finest axis; else as for `predict`. An
            estimate is made in at most 16 of the planes of rows and columns.

        Returns
        -------
        masks : ndarray of int32, shape (planes, rows, columns)
            0 = background, objects 1..n. Each is one connected component.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict`, and if the segmenter has ``ndim=3``, the spacing is not three numbers above 0, or is missing
            where the pixels of the training images were not square, or the array is one image.

        Warns
        -----
        UserWarning
            As `predict`: if the volume is constant, if objects are probably false positives, or if the spacing is
            another one than in training.

        Notes
        -----
        Planes are scaled so that their pixels are equally long along both axes, as in training. Outputs are scaled back
        and combined at the volume's own voxels. A constant plane has no objects.

        Two orientations see each component of a flow. "planes" takes their mean and multiplies each flow by its length,
        up to a length of 1. So flows are long where orientations agree, and short where they cancel or one is unsure.
        Basins are joined only where flows at their border are about as long as inside. Cellpose makes all flows 1 long
        again, which joins objects that touch. Logits, those of three classes too, are means over the three
        orientations.

        Thresholds are those of images, except:

        - ``min_size`` is the number of voxels of the ball as wide as a disk of ``min_size`` pixels of the finest axis.
          Sections in single planes may be smaller.
        - With "planes", a ``flow_threshold`` that `fit` chose is raised to 0.4 if it is lower: combined flows have
          larger errors than those of one plane. A threshold that you set is used as it is.
        - With "planes", ``score_threshold`` does not count: scores were learned from objects in images. With "stitch"
          it counts for sections.

        "stitch" links sections in neighboring planes one to one, with an IoU of at least 0.1. If a section ends before
        one plane and another begins after it, both are one object if their IoU is at least 0.5. The plane between gets
        the pixels that they share. A volume of one plane is segmented as that image.

        Besides the volume, "planes" holds 16 bytes per voxel of outputs (three classes: 12), and 6 more while flows are
        followed. "stitch" holds the masks, and the outputs of one plane.

        Examples
        --------
        >>> from flowseg import FlowSegmenter, metrics, synthetic
        >>> volume, masks = synthetic.cells((24, 64, 64), 8, diameter=20, rng=0)
        >>> found = FlowSegmenter.from_pretrained("nuclei").predict_volume(volume, diameters=20)
        >>> found.shape, metrics.match(masks, found).average_precision
        ((24, 64, 64), 1.0)
        """
        return segment_volume(pipeline_of(self), volume, spacing=spacing, mode=mode, diameters=diameters)[0]
