"""
Train on your own images
========================

A dozen annotated images and a few minutes are enough to start. Here it is drawn images, a small network and some twenty
seconds, and the pictures show what twenty seconds buy.
"""

# sphinx_gallery_thumbnail_number = 2
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from skimage.filters import gaussian
from skimage.segmentation import find_boundaries

from flowseg import FlowSegmenter, plot, synthetic

# %%
# Images and masks
# ----------------
#
# Two lists of arrays, of any sizes. With files it is ::
#
#    pairs = flowseg.io.pair_files(flowseg.io.find_files("images"), flowseg.io.find_files("masks"))
#    images = [flowseg.io.read_image(image) for image, _ in pairs]
#    masks = [flowseg.io.read_masks(mask) for _, mask in pairs]
#
# Keep some images apart from the start, whole wells or slides if you can: a model is judged on what it has not seen.
# Here are twelve to train on, two to validate and two to judge by. They show cells by a membrane stain.


def draw_cells(seed):
    """Cells with bright rims and dim insides."""
    _, masks = synthetic.cells((160, 160), 26, rng=seed)
    light = 0.1 + 0.15 * (masks > 0) + 0.9 * find_boundaries(masks, mode="inner")
    return np.random.default_rng(seed).poisson(60 * gaussian(light, 0.8)) / 60, masks


pairs = [draw_cells(seed) for seed in range(16)]
images, masks = [list(side) for side in zip(*pairs, strict=True)]
train, validation, test = slice(0, 12), slice(12, 14), slice(14, 16)

# %%
# Train
# -----
#
# Leave out ``filters``, ``crop_size``, ``epochs`` and ``steps_per_epoch`` for your own images: the default network
# has five levels and learns for 40 epochs of 50 steps, some 10 to 30 minutes on two CPU cores, by how new they are.
# With ``random_state`` the same training gives the same model, bit for bit.
segmenter = FlowSegmenter(filters=(16, 32, 64), crop_size=96, epochs=8, steps_per_epoch=12, random_state=0)
segmenter.fit(images[train], masks[train], validation=(images[validation], masks[validation]))

# %%
# Both losses should fall together. If the one on the validation images rises while the other falls, the network
# learns your images by heart: annotate more of them rather than training longer. If both still fall at the end, train
# longer.
figure, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
plot.show_history(segmenter.history_, ax=ax).set_ylim(0, None)

# %%
# Judge
# -----
#
# The pretrained model was made for nuclei that shine all over and knows nothing of rims. A hundred steps on a dozen
# annotated images do. Look at the cells along the border of the image, and where three cells meet.
pretrained = FlowSegmenter.from_pretrained("nuclei")
image, true_masks = images[test][0], masks[test][0]
figure, axes = plt.subplots(1, 3, figsize=(9, 4.1), layout="constrained")
axes[0].imshow(image, cmap="gray")
axes[0].set_axis_off()
axes[0].set_title(f"an unseen image: {true_masks.max()} cells")
for ax, name, model in ((axes[1], "pretrained on nuclei", pretrained), (axes[2], "trained on these", segmenter)):
    plot.show_comparison(true_masks, model.predict(image), image=image, ax=ax).set_title(name)

# %%
# ``score`` is the mean over images of the average precision at IoU 0.5: of all cells that there are or that were
# found, the share that match.
for name, model in (("pretrained on nuclei", pretrained), ("trained on these", segmenter)):
    print(f"{name}: {model.score(images[test], masks[test]):.2f}")

# %%
# Keep it
# -------
#
# One file, safe to pass on: it holds numbers and names, nothing that could be run.
with tempfile.TemporaryDirectory() as folder:
    segmenter.save(Path(folder) / "rims.safetensors")
    again = FlowSegmenter.load(Path(folder) / "rims.safetensors")
    print(np.array_equal(again.predict(image), segmenter.predict(image)))
