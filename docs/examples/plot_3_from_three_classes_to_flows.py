"""
From three-class labels to flows
================================

Many pipelines learn three classes: background, interior and boundary. This page turns annotations in that form into
masks and flows, and shows what flows are for.
"""

import matplotlib.pyplot as plt
import numpy as np
from skimage.measure import label
from skimage.segmentation import find_boundaries, watershed

import flowseg
from flowseg import datasets, metrics, plot, synthetic

# %%
# Three classes
# -------------
#
# Here they are made from annotated nuclei, so that we can see what is lost. On disk the classes are often a picture
# with one color per class: ``image.argmax(axis=-1)`` turns its channels into numbers, in their order.
images, annotations, _ = datasets.nuclei()
part = np.s_[90:256, 60:256]
image, true_masks = images[2][part], label(annotations[2][part])


def make_classes(masks):
    """0 is background, 1 interior, 2 boundary."""
    return np.where(find_boundaries(masks, mode="inner"), 2, np.where(masks > 0, 1, 0))


classes = make_classes(true_masks)

# %%
# Back to objects
# ---------------
#
# Every connected component of the interior is an object, but its boundary pixels are missing. A watershed lets the
# components grow into the boundary class, and nowhere else. Objects that touch without any boundary between them cannot
# be recovered. If you still have the annotation with one color or number per object, start from that
# (`flowseg.masks_from_rgb`).
components = label(classes == 1, connectivity=1)
masks = watershed(np.zeros(classes.shape), components, mask=classes > 0)
for name, found in (("components of the interior", components), ("grown into the boundary", masks)):
    result = metrics.match(true_masks, found)
    print(f"{name}: {result.tp} of {true_masks.max()} nuclei, mean IoU {result.pair_iou.mean():.2f}")

# %%
# To flows
# --------
#
# `FlowSegmenter` makes flows from masks by itself while it trains. To see them, or for a custom training loop:
flows = flowseg.masks_to_flows(masks)
print(flows.shape, flows.dtype)

class_colors = np.array([[40, 0, 0], [0, 170, 0], [60, 90, 255]], dtype=np.uint8)
figure, axes = plt.subplots(2, 2, figsize=(9, 7.6), layout="constrained")
axes[0, 0].imshow(image, cmap="gray")
axes[0, 0].set_title("image")
axes[0, 1].imshow(class_colors[classes], interpolation="nearest")
axes[0, 1].set_title("three classes")
plot.show_masks(masks, ax=axes[1, 0]).set_title("masks")
plot.show_flows(flows, ax=axes[1, 1]).set_title("flows")
for ax in axes[0]:
    ax.set_axis_off()

# %%
# What flows are for
# ------------------
#
# No network is right everywhere. These synthetic cells touch more than the nuclei above. One boundary pixel in seven is
# taken for interior, and the flows of exactly the same pixels point in random directions. A gap of two pixels is enough
# to join two interiors: on the left, merged cells have one color. With flows, the neighbors outvote a wrong pixel: to
# merge two cells, the directions of whole regions would have to be wrong.
_, true_masks = synthetic.cells((170, 230), 45, rng=4)
classes, flows = make_classes(true_masks), flowseg.masks_to_flows(true_masks)
boundary = classes == 2


def spoil(share, seed=0):
    """Masks by classes and by flows, with this share of the boundary pixels wrong in both."""
    rng = np.random.default_rng(seed)
    wrong = boundary & (rng.random(boundary.shape) < share)
    by_classes = label((classes == 1) | wrong, connectivity=1)
    by_classes = watershed(np.zeros(classes.shape), by_classes, mask=classes > 0)
    angle = rng.uniform(0, 2 * np.pi, np.count_nonzero(wrong))
    stray = flows.copy()
    stray[:, wrong] = np.stack([np.sin(angle), np.cos(angle)])
    return by_classes, flowseg.flows_to_masks(stray, np.where(classes > 0, 5.0, -5.0))


shares = np.array([0, 0.02, 0.05, 0.1, 0.15, 0.2])
matched = [
    [[metrics.match(true_masks, found).tp for found in spoil(share, seed)] for seed in range(5)] for share in shares
]
percent_found = 100 * np.mean(matched, axis=1) / true_masks.max()
figure, axes = plt.subplots(1, 3, figsize=(9, 2.7), layout="constrained", width_ratios=[1, 1, 0.9])
for ax, name, found in zip(axes[:2], ("three classes", "flows"), spoil(1 / 7), strict=True):
    plot.show_masks(found, ax=ax)
    ax.set_title(f"{name}: {found.max()} objects for {true_masks.max()} cells", fontsize=10)
axes[2].plot(100 * shares, percent_found[:, 0], "s--", label="three classes")
axes[2].plot(100 * shares, percent_found[:, 1], "o-", label="flows")
axes[2].set(xlabel="boundary pixels wrong, %", ylabel="cells found, %", ylim=(0, 105))
axes[2].legend(frameon=False)

# %%
# This is an illustration, not a measurement: the errors of a real network are not scattered pixel by pixel. To know
# which is better on your images, train both with the same network and measure: ``BoundarySegmenter(random_state=0)``
# and ``FlowSegmenter(random_state=0)`` take the same images and masks. See also :doc:`/explanation/three_classes`.
