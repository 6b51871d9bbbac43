"""
Train on your own images
========================

A dozen annotated images and some minutes are enough to start. Here a small network learns from seven images in about
half a minute, and the pictures show how far that goes.
"""

# sphinx_gallery_thumbnail_number = 2
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from flowseg import FlowSegmenter, datasets, plot

# %%
# Images and masks
# ----------------
#
# Images and masks are two lists of arrays, of any sizes. They can be read from files::
#
#    pairs = flowseg.io.pair_files(flowseg.io.find_files("images"), flowseg.io.find_files("masks"))
#    images = [flowseg.io.read_image(image) for image, _ in pairs]
#    masks = [flowseg.io.read_masks(mask) for _, mask in pairs]
#
# Keep some images apart from the start, whole wells or slides if you can: only images that a model has not seen show
# how good it is. Here are seven to train on, one to validate on and four to test on, all of different fields of view.
images, masks, fields = datasets.nuclei()
train, validation, test = slice(0, 7), slice(7, 8), slice(8, 12)
print(sum(labels.max() for labels in masks[train]), "nuclei to train on")

# %%
# Train
# -----
#
# Leave out these parameters for your own images: the default network is larger, and its training takes 10 to 30 minutes
# on two CPU cores. With ``random_state`` the same training gives the same model, bit for bit.
small = {"filters": (16, 32, 64), "crop_size": 96, "batch_size": 4, "epochs": 8, "steps_per_epoch": 16}
segmenter = FlowSegmenter(**small, random_state=0)
segmenter.fit(images[train], masks[train], validation=(images[validation], masks[validation]))

# %%
# Both losses should fall together. If the one on the validation images rises while the other falls, the network
# memorizes your images: annotate more of them rather than training longer. If both still fall at the end, train
# longer.
figure, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
plot.show_history(segmenter.history_, ax=ax).set_ylim(0, None)

# %%
# Test
# ----
#
# For comparison, here is also the pretrained model. It learned from 363 images of such experiments, but from none of
# these fields. Both models find most nuclei of this crowded image. Look at the border of the image, and where nuclei
# touch.
pretrained = FlowSegmenter.from_pretrained("nuclei")
image, true_masks = images[test][1], masks[test][1]
figure, axes = plt.subplots(1, 3, figsize=(9, 4.1), layout="constrained")
axes[0].imshow(image, cmap="gray")
axes[0].set_axis_off()
axes[0].set_title(f"an unseen image: {true_masks.max()} nuclei")
for ax, name, model in ((axes[1], "trained on seven images", segmenter), (axes[2], "pretrained", pretrained)):
    plot.show_comparison(true_masks, model.predict(image), image=image, ax=ax).set_title(name)

# %%
# ``score`` is the mean over images of the average precision at IoU 0.5: the number of matches over the number of nuclei
# that were annotated or found. Where images look like those of the pretrained model, start from it
# (``pretrained.set_params(epochs=5).fit(...)``). Where they do not, as with another stain or with whole cells, train
# from scratch.
for name, model in (("trained on seven images", segmenter), ("pretrained", pretrained)):
    print(f"{name}: {model.score(images[test], masks[test]):.2f}")

# %%
# Keep it
# -------
#
# One file, safe to pass on: it holds numbers and names, nothing that could be run.
with tempfile.TemporaryDirectory() as folder:
    segmenter.save(Path(folder) / "my_nuclei.safetensors")
    loaded = FlowSegmenter.load(Path(folder) / "my_nuclei.safetensors")
    print(np.array_equal(loaded.predict(image), segmenter.predict(image)))
