"""
Quality control
===============

Two checks that take minutes and save days: of the annotations before training, and of the objects after prediction.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

import flowseg
from flowseg import FlowSegmenter, datasets, plot

# %%
# What is wrong with these annotations?
# -------------------------------------
#
# Here is one annotated image, damaged in five common ways. Most training scripts would accept all of them without an
# error message. `flowseg.check_masks` names what it finds. In the original annotation it finds nothing.
images, annotations, _ = datasets.nuclei()
image, masks = images[8], annotations[8]


def make_binary(masks):
    """Foreground saved in the place of labels."""
    return np.where(masks > 0, 255, 0).astype(np.uint8)


def use_a_number_twice(masks):
    """Two nuclei with one number, as after merging annotations of two people."""
    return np.where(masks == masks.max(), 1, masks)


def leave_holes(masks):
    """Contours that were not filled well."""
    holes = np.any([ndimage.binary_erosion(masks == k, iterations=5) for k in range(1, masks.max(), 4)], axis=0)
    return np.where(holes, 0, masks)


def add_specks(masks):
    """Slips of the brush: a few pixels of a nucleus' number elsewhere."""
    damaged = masks.copy()
    rows, columns = np.nonzero(ndimage.binary_erosion(masks == 0, iterations=5))
    chosen = np.random.default_rng(0).choice(rows.size, 12, replace=False)
    down, across = np.indices(masks.shape)
    distance = np.hypot(rows[chosen, None, None] - down, columns[chosen, None, None] - across)
    nearest = np.where(masks > 0, distance, np.inf).reshape(chosen.size, -1).argmin(axis=1)
    for row, column in ((0, 0), (0, 1), (1, 0)):
        damaged[rows[chosen] + row, columns[chosen] + column] = masks.ravel()[nearest]
    return damaged


def shift(masks):
    """A crop that was not the same for image and masks."""
    return ndimage.shift(masks, (7, -5), order=0)


damages = {"as annotated": masks}
for damage in (make_binary, use_a_number_twice, leave_holes, add_specks, shift):
    damages[damage.__name__.replace("_", " ")] = damage(masks)
figure, axes = plt.subplots(2, 3, figsize=(9, 5.6), layout="constrained")
for ax, (name, damaged) in zip(axes.flat, damages.items(), strict=True):
    report = flowseg.check_masks(damaged, image)
    found = ", ".join(finding.kind for finding in report.findings) or "nothing found"
    plot.show_masks(np.where(damaged == 255, 1, damaged), image=image, ax=ax)
    ax.set_title(f"{name}\n{found}", fontsize=10, color="black" if report.ok else "firebrick")

# %%
# The findings in words, as ``flowseg check masks images`` prints them for whole folders:
for name, damaged in damages.items():
    print(f"{name}: {flowseg.check_masks(damaged, image)}")

# %%
# `flowseg.mend_masks` repairs what it can without you, and lists what it did: components that share one number become
# objects with numbers of their own. Only you know where shifted masks belong, and which nucleus is which in a binary
# image where nuclei touch.
mended, done = flowseg.mend_masks(add_specks(leave_holes(use_a_number_twice(masks))))
print("\n".join(done))

# %%
# Which objects can be trusted?
# -----------------------------
#
# This image has crowded nuclei. ``predict_objects`` gives every object a score, the probability that it matches an
# annotated one at IoU 0.5, learned from validation images. Sort by it and look at the lowest first: a correction by
# hand counts most there.
image, masks = images[9], annotations[9]
found, objects = FlowSegmenter.from_pretrained("nuclei").predict_objects(image)
score = np.concatenate([[np.nan], objects["score"]])[found]

figure, axes = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
axes[0].imshow(image, cmap="gray", vmax=np.percentile(image, 99.5))
axes[0].set_title("image")
plot.show_outlines(image, masks, ax=axes[1]).set_title(f"{masks.max()} annotated nuclei")
axes[2].set_facecolor("black")
shown = axes[2].imshow(score, cmap="cividis", vmin=0.3, vmax=1, interpolation="nearest")
axes[2].set_title(f"{found.max()} found, and their scores")
figure.colorbar(shown, ax=axes[2], shrink=0.9)
for ax in axes:
    ax.set(xticks=[], yticks=[])

# %%
# These are the five lowest scores, and how well the objects match the annotation. Scores do not show false negatives,
# and these were learned on other images: check them once against a few annotations of your own.
iou = flowseg.metrics.match(found, masks).iou
for k in np.argsort(objects["score"])[:5]:
    print(f"label {objects['label'][k]:2d}: score {objects['score'][k]:.2f}, IoU with the annotation {iou[k]:.2f}")

# %%
# If the mean score is far from the share that really match, scores still rank the objects of such images but are not
# probabilities there. ``fit_thresholds`` learns them again from your own annotated images.
print(f"mean score {objects['score'].mean():.2f}, share that match {np.mean(iou >= 0.5):.2f}")
figure, ax = plt.subplots(figsize=(5, 2.8), layout="constrained")
plot.show_quality(objects, true=masks, predicted=found, ax=ax)
