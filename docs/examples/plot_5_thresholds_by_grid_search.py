"""
Thresholds by grid search
=========================

The network predicts how likely each pixel is foreground, and the direction of its flow. Two thresholds turn that into
objects. scikit-learn can search for the values that are best on your images, without any training: the network runs
once per image.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV

import flowseg
from flowseg import FlowSegmenter, datasets, metrics, plot

# %%
# Annotated images, and the network's outputs for them
# -----------------------------------------------------
#
# People who annotate draw outlines in different places. In this image they lie farther out than in most images that the
# pretrained model was trained on, and its usual thresholds make objects that are too small. Four quarters of the image
# stand for four annotated images of one experiment.
images, annotations, _ = datasets.nuclei()
image, true_masks = images[9], annotations[9]
quarters = [np.s_[row : row + 128, column : column + 128] for row in (0, 128) for column in (0, 128)]
images, masks = [image[quarter] for quarter in quarters], [true_masks[quarter] for quarter in quarters]
segmenter = FlowSegmenter.from_pretrained("nuclei")
outputs = segmenter.predict_flows(images)

# %%
# An estimator of two thresholds
# ------------------------------
#
# A grid search over a `FlowSegmenter` would train it again for every candidate. That is right for ``diameter`` or
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
# Cross-validation over images shows how far each mean can be trusted. Differences that are small beside the standard
# deviation between folds may be chance.
grid = {"cellprob_threshold": [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0], "flow_threshold": [0.1, 0.2, 0.4, 0.8]}
search = GridSearchCV(Thresholds(), grid, cv=4).fit(outputs, masks)
print(search.best_params_)
spread = search.cv_results_["std_test_score"][search.best_index_]
print(f"average precision {search.best_score_:.2f}, standard deviation between folds {spread:.2f}")

# %%
# A broad plateau is good: any value on it works about as well. A best value at the edge of the map means that the map
# is too small. A single high cell means that there are too few images.
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
# A lower ``cellprob_threshold`` finds more and larger objects; a lower ``flow_threshold`` drops more of the doubtful
# ones. The quarters of this image took part in the search, so the gain on new images of the experiment may be smaller.
#
# ``segmenter.set_params(**search.best_params_)`` makes a segmenter use the best values.
outputs = [segmenter.predict_flows(image)]
before, after = Thresholds().predict(outputs)[0], search.predict(outputs)[0]
figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
for ax, title, found in ((axes[0], "before", before), (axes[1], "after the search", after)):
    plot.show_comparison(true_masks, found, image=image, threshold=0.75, ax=ax).set_title(title)

# %%
# The short way
# -------------
#
# ``segmenter.fit_thresholds(images, masks)`` does such a search over three thresholds at once. Where a few images
# cannot separate candidates, it takes the values nearest to the defaults. `fit` does the same with its validation
# images. Search yourself where another score counts, or to see the plateau. Either way, test on images that took no
# part in the choice.
