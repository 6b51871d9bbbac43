"""
Export to ImageJ and QuPath
===========================

This page exports masks as regions for ImageJ's ROI manager, as objects for QuPath, and as a label image with its pixel
size. Outlines run along the edges of pixels, so that nothing is lost on the way there and back.
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import roifile

import flowseg
from flowseg import FlowSegmenter, datasets, io

image = datasets.nuclei().images[0]
masks = FlowSegmenter.from_pretrained("nuclei").predict(image)
folder = Path(tempfile.mkdtemp())

# %%
# ImageJ
# ------
#
# One zip file of regions, named by their labels: drag it onto ImageJ's window, or open it in the ROI manager. The
# label image opens like any TIFF, with its scale set.
io.write_roi(folder / "nuclei.zip", masks)
io.write_masks(folder / "nuclei.tif", masks, pixel_size=(0.325, 0.325))
print(*io.read_pixel_size(folder / "nuclei.tif"), "micrometers")

# %%
# QuPath
# ------
#
# In QuPath: File, Import objects from file. Every nucleus becomes a detection with its label as its name.
io.write_geojson(folder / "nuclei.geojson", masks)
features = json.loads((folder / "nuclei.geojson").read_text())["features"]
print(len(features), features[0]["geometry"]["type"], features[0]["properties"])

# %%
# What the other programs see
# ---------------------------
#
# The regions are read with a library for ImageJ's format, and drawn over the image. Seen from close up, outlines are
# steps: each corner is the corner of a pixel. In ImageJ the corner of the first pixel is at (0, 0) and its center at
# (0.5, 0.5). Matplotlib has the center at (0, 0), so half a pixel is subtracted. An export that forgets this half pixel
# shifts every outline, which shows at small objects first.
regions = roifile.roiread(folder / "nuclei.zip")
figure, axes = plt.subplots(1, 2, figsize=(9, 3.7), layout="constrained", width_ratios=[1.3, 1])
for ax in axes:
    ax.imshow(image, cmap="gray", vmax=np.percentile(image, 99.5))
    for region in regions:
        for corners in region.coordinates(multi=True) if region.composite else [region.coordinates()]:
            x, y = np.concatenate([corners, corners[:1]]).T - 0.5
            ax.plot(x, y, color="gold", lw=1.2)
    ax.set_axis_off()
axes[0].set(title=f"{len(regions)} regions", xlim=(-0.5, 319.5), ylim=(255.5, -0.5))
axes[1].set(title="from close up", xlim=(149.5, 209.5), ylim=(115.5, 65.5))

# %%
# And back
# --------
#
# Files that were corrected in ImageJ or QuPath can be read as annotations for the next training. They do not hold the
# size of the image, so it must be given.
from_imagej = flowseg.io.read_roi(folder / "nuclei.zip", masks.shape)
from_qupath = flowseg.io.read_geojson(folder / "nuclei.geojson", masks.shape)
for name, back in (("ImageJ", from_imagej), ("QuPath", from_qupath)):
    result = flowseg.metrics.match(masks, back, threshold=1.0)
    print(f"{name}: {result.tp} of {masks.max()} nuclei are the same to the pixel")
