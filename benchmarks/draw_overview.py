"""Draw the README's picture: an image, the flows predicted for it, and the outlines found by following them.

python benchmarks/draw_overview.py IMAGE MODEL PICTURE
"""

import sys

import numpy as np

from flowseg import io, load_segmenter, plot

GAP = 6

if __name__ == "__main__":
    image_file, model_file, picture_file = sys.argv[1:]
    image = io.read_image(image_file)
    segmenter = load_segmenter(model_file)
    flows, _ = segmenter.predict_flows(image)
    masks = segmenter.predict(image)
    panels = [
        plot.outlines(image, np.zeros_like(masks)),
        plot.flow_colors(np.where(masks > 0, flows, 0)),
        plot.outlines(image, masks),
    ]
    gap = np.full((image.shape[0], GAP, 3), 255, dtype=np.uint8)
    io.write_picture(picture_file, np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1))
