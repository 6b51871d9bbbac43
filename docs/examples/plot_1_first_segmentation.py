"""
First segmentation
==================

From an image to numbered nuclei in three lines, with a model that ships with flowseg. The rest of this page shows how
to look at the result.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import flowseg
from flowseg import FlowSegmenter, datasets, plot

# %%
# An image
# --------
#
# Your own image comes from a file: ``image = flowseg.io.read_image("nuclei.tif")``. This one ships with flowseg: nuclei
# of about 27 pixels, of different brightness, some of them touching. Any numeric type and any range of gray values
# will do, because flowseg stretches images between their 1st and 99th percentiles.
images, annotations, fields = datasets.nuclei()
image, true_masks = images[7], annotations[7]
print(image.shape, image.dtype, f"{image.min()} to {image.max()}")

# %%
# Segment it
# ----------
#
# The model "nuclei" was trained on fluorescence images of many experiments, but on none of this field of view.
# :doc:`/benchmarks/models` shows how good it is, and where it fails. The result is a label image: 0 is background, and
# every other number is one nucleus.
segmenter = FlowSegmenter.from_pretrained("nuclei")
masks = segmenter.predict(image)
print(masks.shape, masks.dtype, f"{masks.max()} nuclei")

# %%
# Look at it
# ----------
#
# Look at clumps first. An outline around two nuclei is a merge, a line across one nucleus a split. Then look along the
# border of the image and at the faintest nuclei: most false negatives are there.
figure, axes = plt.subplots(1, 2, figsize=(9, 3.9), layout="constrained")
axes[0].imshow(image, cmap="gray", vmax=np.percentile(image, 99.5))
axes[0].set_axis_off()
axes[0].set_title("image")
plot.show_outlines(image, masks, ax=axes[1]).set_title(f"{masks.max()} nuclei found")

# %%
# What the network predicts
# -------------------------
#
# The network predicts two things for every pixel: a *flow*, the direction to the center of its nucleus, and the
# probability that it belongs to a nucleus at all. Where two nuclei touch, their flows point away from each other. In
# the colors below, opposite hues meet at such a border. That is why touching nuclei are separated although no dark
# line runs between them.
flows, cellprob = segmenter.predict_flows(image)
part = np.s_[0:130, 220:320]
figure, axes = plt.subplots(1, 3, figsize=(9, 4), layout="constrained")
axes[0].imshow(image[part], cmap="gray")
axes[0].set_title("a clump")
axes[1].imshow(1 / (1 + np.exp(-cellprob[part])), cmap="gray", vmin=0, vmax=1)
axes[1].set_title("probability of foreground")
plot.show_flows((flows * (cellprob > 0))[:, *part], masks=masks[part], ax=axes[2]).set_title("flows")
for ax in axes[:2]:
    ax.set_axis_off()

# %%
# How good is it?
# ---------------
#
# Only annotations can answer this. A nucleus counts as found if it and its match share at least half of the pixels
# that either has (IoU 0.5). Average precision counts the matches among all nuclei that were annotated or found.
result = flowseg.metrics.match(true_masks, masks, threshold=0.5)
print(f"average precision {result.average_precision:.2f}")
figure, ax = plt.subplots(figsize=(6, 4.8), layout="constrained")
plot.show_comparison(true_masks, masks, image=image, ax=ax)
