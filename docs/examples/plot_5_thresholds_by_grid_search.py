"""
Thresholds by grid search
=========================

The network says how likely each pixel is foreground, and which way its flow goes. Two thresholds make objects of that.
Which values are best on your images can be searched with scikit-learn, without any training: the network
runs once per image.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV

import flowseg
from flowseg import FlowSegmenter, metrics, plot, synthetic

# %%
# Annotated images, and what the network says of them
# ----------------------------------------------------
#
# Six images, noisier than those that the pretrained model has seen, so that its own thresholds need not fit them.
rng = np.random.default_rng(0)
pairs = [synthetic.cells((144, 176), 26, diameter=20, rng=seed) for seed in range(100, 106)]
images = [image + rng.normal(0, 0.2, image.shape) for image, _ in pairs]
masks = [mask for _, mask in pairs]
segmenter = FlowSegmenter.from_pretrained("nuclei")
outputs = segmenter.predict_flows(images)

# %%
# An estimator of two thresholds
# ------------------------------
#
# A grid search over a `FlowSegmenter` would train it anew for every candidate. That is right for ``diameter`` or
# ``filters``, and a waste for thresholds. So here is an estimator whose inputs are flows and probabilities, and that
# has nothing to train.


class Thresholds(BaseEstimator):
    """Masks from the outputs of a network."""

    def __init__(self, cellprob_threshold=0.0, flow_threshold=0.4):
        self.cellprob_threshold = cellprob_threshold
        self.flow_threshold = flow_threshold

    def fit(self, outputs, masks):
        """Nothing to learn."""
        return self

    def predict(self, outputs):
        """Masks, one per image."""
        settings = {"cellprob_threshold": self.cellprob_threshold, "flow_threshold": self.flow_threshold}
        return [flowseg.flows_to_masks(flows, cellprob, **settings) for flows, cellprob in outputs]

    def score(self, outputs, masks):
        """Average precision at IoU 0.75, pooled over the objects of all images."""
        return metrics.average_precision(masks, self.predict(outputs), thresholds=(0.75,))[0]


# %%
# The search
# ----------
#
# Cross-validation over images says how far each mean can be trusted: differences smaller than the standard deviation
# between folds are chance.
grid = {"cellprob_threshold": [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0], "flow_threshold": [0.1, 0.2, 0.4, 0.8]}
search = GridSearchCV(Thresholds(), grid, cv=3).fit(outputs, masks)
print(search.best_params_)
spread = search.cv_results_["std_test_score"][search.best_index_]
print(f"average precision {search.best_score_:.2f}, standard deviation between folds {spread:.2f}")

# %%
# A broad plateau is good news: any value on it will do, also next month. A best value at the edge of the map says
# that the map is too small; a lonely peak says that there are too few images.
scores = search.cv_results_["mean_test_score"].reshape([len(values) for values in grid.values()])
figure, ax = plt.subplots(figsize=(4.8, 3.6), layout="constrained")
shown = ax.imshow(scores.T, cmap="viridis", vmin=0, vmax=1, origin="lower", aspect="auto")
for (column, row), value in np.ndenumerate(scores):
    color = "black" if value > 0.6 else "white"
    ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=color, fontsize=9)
ax.set_xticks(range(scores.shape[0]), grid["cellprob_threshold"])
ax.set_yticks(range(scores.shape[1]), grid["flow_threshold"])
ax.set(xlabel="cellprob_threshold", ylabel="flow_threshold", title="average precision at IoU 0.75")
figure.colorbar(shown)

# %%
# What it changes
# ---------------
#
# Compare dim cells first. A lower ``cellprob_threshold`` finds more and larger objects; a lower ``flow_threshold``
# drops more of the doubtful ones.
segmenter.set_params(**search.best_params_)
before = FlowSegmenter.from_pretrained("nuclei").predict(images[0])
after = segmenter.predict(images[0])
figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
for ax, title, found in ((axes[0], "before", before), (axes[1], "after the search", after)):
    plot.show_comparison(masks[0], found, image=images[0], threshold=0.75, ax=ax).set_title(title)

# %%
# The short way
# -------------
#
# ``segmenter.fit_thresholds(images, masks)`` does such a search over three thresholds at once and, of those that a
# few images cannot tell apart, takes the values nearest to the usual ones; `fit` does so by itself with its
# validation images. Search yourself where another score counts, or to see the plateau. Either way, measure on images
# that have taken no part in the choice.
