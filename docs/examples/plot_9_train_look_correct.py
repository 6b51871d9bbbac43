"""
Train, look, correct
====================

This notebook is one round of the work on a model: train it on a few images, look at what it makes of others, correct
where it is least sure, and train again. Download it at the end of the page, and put your own images in.
"""

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt
import numpy as np

import flowseg
from flowseg import FlowSegmenter, datasets, plot

# %%
# Train
# -----
#
# Three annotated images are the start. The settings here make a network that trains in seconds, so that this page is
# made quickly. For your own images leave out ``filters`` to ``steps_per_epoch``.
images, truth, _ = datasets.nuclei()
annotated, rest, test = slice(0, 3), slice(3, 7), slice(8, 10)
settings = {"filters": (8, 16), "crop_size": 64, "batch_size": 4, "epochs": 4, "steps_per_epoch": 15}
segmenter = FlowSegmenter(**settings, random_state=0).fit(images[annotated], truth[annotated])

# %%
# Look
# ----
#
# `flowseg.suggest` looks at images that nobody has annotated. It returns first the ones where it expects most errors,
# each with a box. Outside the box, the masks that it returns are -1, not annotated.
suggestions = flowseg.suggest(segmenter, images[rest], number=2, box_size=96, views=2)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for ax, one in zip(axes, suggestions, strict=True):
    image, box = images[rest][one.index], one.boxes[0]
    plot.show_outlines(image, segmenter.predict(image), ax=ax)
    ax.add_patch(
        plt.Rectangle(
            (box.min_col, box.min_row), box.max_col - box.min_col, box.max_row - box.min_row, fill=False, ec="w"
        )
    )
    ax.set_title(f"image {one.index}: about {one.doubt[0]:.0f} objects wrong", fontsize=10)

# %%
# Correct
# -------
#
# This is work for a person: correct the objects in the box, for example in napari::
#
#    viewer = napari.view_image(image)
#    labels = viewer.add_labels(one.masks)
#    ...                                      # correct them
#    corrected = labels.data
#
# Here the annotation of the dataset stands in for the person. Every object that touches the box is corrected as a
# whole; the rest stays -1, so that it does not count in training.


def correct(one):
    """Return the masks of a suggestion with what is true in its box."""
    true_masks, box = truth[rest][one.index], one.boxes[0]
    in_box = np.zeros(true_masks.shape, dtype=bool)
    in_box[box.min_row : box.max_row, box.min_col : box.max_col] = True
    touching = np.isin(true_masks, true_masks[in_box]) & (true_masks > 0)
    return np.where(touching, true_masks, np.where(in_box, 0, -1))


corrected = [correct(one) for one in suggestions]
print(sum(np.unique(masks[masks > 0]).size for masks in corrected), "nuclei corrected")

# %%
# Train again
# -----------
#
# The next training starts from the weights of the last one.
more_images = [*images[annotated], *(images[rest][one.index] for one in suggestions)]
more_masks = [*truth[annotated], *corrected]
before = segmenter.score(images[test], truth[test])
segmenter.set_params(warm_start=True).fit(more_images, more_masks)
after = segmenter.score(images[test], truth[test])
print(f"average precision on two other images: {before:.2f} before, {after:.2f} after")

# %%
# Repeat this until more corrections no longer help; :doc:`/how_to/curve` tells when. Images that were chosen because
# the model fails on them are no fair test: keep the test images out of it, as here.
