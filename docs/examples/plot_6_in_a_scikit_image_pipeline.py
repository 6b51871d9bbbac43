"""
In a scikit-image pipeline
==========================

Masks are plain integer label images, so everything that scikit-image does with labels works on them. Here
``clear_border``, ``expand_labels`` and ``regionprops_table`` turn two channels into a table that answers a question: in
which cells has the protein moved into the nucleus?
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from skimage.filters import gaussian
from skimage.measure import regionprops_table
from skimage.segmentation import clear_border, expand_labels

from flowseg import FlowSegmenter, datasets, plot

# %%
# Two channels
# ------------
#
# The first shows real nuclei. The second is drawn around them: a protein that is in the cytoplasm or, in a third of the
# cells, in the nucleus. From a file: ``flowseg.io.read_image("cells.ome.tif", channel=(0, 1))``.
rng = np.random.default_rng(5)
images, annotations, _ = datasets.nuclei()
nuclei, true_nuclei = images[4], annotations[4]
cells = expand_labels(true_nuclei, distance=7)
moved = rng.random(true_nuclei.max() + 1) < 1 / 3
in_nucleus = np.where(moved, rng.uniform(0.7, 0.9, moved.size), rng.uniform(0.15, 0.3, moved.size))
in_cytoplasm = np.where(moved, rng.uniform(0.15, 0.25, moved.size), rng.uniform(0.5, 0.7, moved.size))
light = np.where(true_nuclei > 0, in_nucleus[true_nuclei], np.where(cells > 0, in_cytoplasm[cells], 0))
protein = rng.poisson(150 * gaussian(0.05 + light, 1.2)) / 150

# %%
# Segment, then clear the border and grow rings
# ---------------------------------------------
#
# Nuclei that the border of the image cuts have no size worth measuring. ``expand_labels`` gives every nucleus a rim of
# five pixels without ever running into its neighbor. Without the nucleus, it is a ring of cytoplasm with the number of
# the nucleus.
masks = FlowSegmenter.from_pretrained("nuclei").predict(nuclei)
whole = clear_border(masks)
rings = np.where(masks == 0, expand_labels(masks, distance=5), 0)
rings[~np.isin(rings, whole)] = 0
print(f"{masks.max()} nuclei, {np.unique(whole).size - 1} of them not cut by the border")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
blue, green = (channel / np.percentile(channel, 99.5) for channel in (nuclei, protein))
axes[0].imshow(np.stack([0 * green, green, blue], axis=-1).clip(0, 1))
axes[0].set_axis_off()
axes[0].set_title("nuclei (blue), protein (green)")
plot.show_outlines(protein, rings, linewidth=0.8, ax=axes[1]).set_title("rings of cytoplasm, on the protein")

# %%
# Measure
# -------
#
# Both tables are ordered by label, so that rows belong together. `flowseg.measure` is the same for one label image,
# with all columns chosen. A nucleus without room for a ring has no row in the merged table.
of_nuclei = pd.DataFrame(regionprops_table(whole, protein, properties=("label", "area", "intensity_mean")))
of_rings = pd.DataFrame(regionprops_table(rings, protein, properties=("label", "intensity_mean")))
table = of_nuclei.merge(of_rings, on="label", suffixes=("_nucleus", "_ring"))
table["ratio"] = table["intensity_mean_nucleus"] / table["intensity_mean_ring"]
table.round(2).head()

# %%
# The answer
# ----------
#
# There are two groups with hardly anything between them, so a threshold at 1 separates them. One broad group would not
# answer the question. A ring that reaches into another nucleus or onto background pulls ratios together: look at the
# rings before you believe the numbers.
inside = np.isin(whole, table["label"][table["ratio"] > 1])
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained", width_ratios=[1, 1.3])
axes[0].hist(table["ratio"], bins=np.geomspace(0.25, 5, 25), color="0.45")
axes[0].axvline(1, color="firebrick", ls="--")
axes[0].set(xscale="log", xlabel="protein in the nucleus over that in the ring", ylabel="cells")
axes[0].set_xticks([0.3, 0.5, 1, 2, 4], ["0.3", "0.5", "1", "2", "4"])
axes[0].minorticks_off()
plot.show_outlines(protein, np.where(inside, whole, 0), ax=axes[1])
axes[1].set_title(f"in the nucleus: {np.sum(table['ratio'] > 1)} of {len(table)} cells")
