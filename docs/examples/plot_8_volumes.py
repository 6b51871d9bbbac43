"""
Train on a volume
=================

A 3-D network learns from two small volumes in seconds, one of them annotated on every fourth plane only.
"""

import matplotlib.pyplot as plt
import numpy as np

from flowseg import FlowSegmenter, metrics, plot, synthetic

# %%
# Volumes and their spacing
# -------------------------
#
# The drawn volumes have planes that are twice as far apart as rows and columns, as in many confocal stacks. Diameters
# are in pixels of the finest axis.
spacing = (2.0, 1.0, 1.0)
pairs = [synthetic.cells((24, 80, 80), 40, diameter=16, spacing=spacing, rng=seed) for seed in range(3)]
volumes, labels = zip(*pairs, strict=True)
figure = plt.figure(figsize=(6, 4.5), layout="constrained")
plot.show_volume(volumes[0], labels[0], spacing=spacing, ax=figure.add_subplot())

# %%
# Annotate some planes
# --------------------
#
# Voxels that are not annotated are -1. Between annotated planes, `fit` interpolates outlines for the direction of
# flows; only annotated voxels count for the loss.
sparse = np.full_like(labels[1], -1)
sparse[::4] = labels[1][::4]

# %%
# Train
# -----
#
# Everything is small here, to be done in seconds. For your own volumes leave out all but ``ndim``: a training then
# takes minutes. Two volumes are too few to hold one out for validation, so the last weights are kept.
small = {"filters": (8, 16, 32), "crop_size": 32, "batch_size": 1, "epochs": 4, "steps_per_epoch": 20}
segmenter = FlowSegmenter(ndim=3, **small, learning_rate=0.003, random_state=0)
segmenter.fit([volumes[0], volumes[1]], [labels[0], sparse], spacing=spacing)

# %%
# Test
# ----
#
# The third volume was not used for training.
found = segmenter.predict(volumes[2], spacing=spacing)
precision = metrics.average_precision([labels[2]], [found], thresholds=(0.5,))
print(f"average precision at IoU 0.5: {precision[0]:.2f}")
figure = plt.figure(figsize=(6, 4.5), layout="constrained")
plot.show_volume(volumes[2], found, spacing=spacing, ax=figure.add_subplot())

# %%
# A 2-D segmenter on the same volume
# ----------------------------------
#
# `~FlowSegmenter.predict_volume` uses a network that was trained on images.
nuclei = FlowSegmenter.from_pretrained("nuclei")
by_planes = nuclei.predict_volume(volumes[2], spacing=spacing, diameters=16)
print(by_planes.max(), "objects, from planes of three orientations")
