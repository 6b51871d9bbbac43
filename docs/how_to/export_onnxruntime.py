"""Segment an image of one channel with an exported model: no Keras, no TensorFlow."""

import json

import numpy as np
import onnxruntime
from skimage.transform import resize

import flowseg


def load_network(path):
    """Return the network, and what one has to know to use it."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, json.loads(session.get_modelmeta().custom_metadata_map["flowseg"])


def segment(image, session, usage, diameter=None):
    """Return the masks of an image with objects of a diameter in pixels; by default that of the training images."""
    low, high = usage["normalize"][1:]
    normalized = flowseg.normalize(image, low=low, high=high)
    factor = usage["working_diameter"] / (diameter or usage["diameter"])
    shape = [max(1, round(n * factor)) for n in image.shape]
    scaled = resize(normalized, shape, order=1, mode="edge", anti_aliasing=factor < 1)
    padding = [(0, -n % multiple) for n, multiple in zip(shape, usage["multiples"], strict=True)]
    padded = np.pad(scaled, padding, mode="reflect")
    (outputs,) = session.run(None, {"image": padded[np.newaxis, np.newaxis]})
    cropped = outputs[0, :, : shape[0], : shape[1]]
    row_flow, column_flow, cellprob = (
        resize(output, image.shape, order=1, mode="edge", anti_aliasing=factor > 1) for output in cropped[:3]
    )
    thresholds = {n: usage["thresholds"][n] for n in ("cellprob_threshold", "flow_threshold", "min_size")}
    return flowseg.flows_to_masks(np.stack([row_flow, column_flow]), cellprob, **thresholds)
