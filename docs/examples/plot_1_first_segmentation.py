"""
First segmentation
==================

From an image to numbered nuclei in three lines, with a model that ships with flowseg. How to look at the result
takes the rest of this page.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np

import flowseg
from flowseg import FlowSegmenter, plot, synthetic

# %%
# An image
# --------
#
# In real life it comes from a file: ``image = flowseg.io.read_image("nuclei.tif")``. Here it is drawn: touching
# nuclei of about 24 pixels, of different brightness, in uneven light, with the noise of a camera. Any numeric type
# and any range of grey values will do: images are stretched between their 1st and 99th percentiles.
image, true_masks = synthetic.cells((256, 320), 75, rng=1)
print(image.shape, image.dtype, f"{image.min():.2f} to {image.max():.2f}")

# %%
# Segment it
# ----------
#
# "nuclei" was trained on fluorescence nuclei of many experiments; :doc:`/benchmarks/models` says how good it is and
# where it fails. The result is a label image: 0 is background, and every other number is one nucleus.
segmenter = FlowSegmenter.from_pretrained("nuclei")
masks = segmenter.predict(image)
print(masks.shape, masks.dtype, f"{masks.max()} nuclei")

# %%
# Look at it
# ----------
#
# Look at clumps first. An outline round two nuclei is a merge, a line across one nucleus a split. Then look along the
# border of the image and at the faintest nuclei: there most are missed.
figure, axes = plt.subplots(1, 2, figsize=(9, 3.9), layout="constrained")
axes[0].imshow(image, cmap="gray", vmax=np.percentile(image, 99.5))
axes[0].set_axis_off()
axes[0].set_title("image")
plot.show_outlines(image, masks, ax=axes[1]).set_title(f"{masks.max()} nuclei found")

# %%
# What the network sees
# ---------------------
#
# The network predicts two things for every pixel: a *flow*, the direction to the middle of its nucleus, and whether
# it belongs to a nucleus at all. Where two nuclei touch, flows point away from each other, to either side: in the
# colors below, opposite hues meet at the border. That is why touching nuclei come apart although no dark line parts
# them.
flows, cellprob = segmenter.predict_flows(image)
part = np.s_[150:256, 0:110]
figure, axes = plt.subplots(1, 3, figsize=(9, 2.9), layout="constrained")
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
# Only annotations can say. For a drawn image the truth is known; a nucleus counts as found if it and its match share
# at least half of the pixels that either has (IoU 0.5). Drawn nuclei are easier than yours: do not take these numbers
# home.
result = flowseg.metrics.match(true_masks, masks, threshold=0.5)
print(f"average precision {result.average_precision:.2f}")
figure, ax = plt.subplots(figsize=(5.5, 5), layout="constrained")
plot.show_comparison(true_masks, masks, image=image, ax=ax)
