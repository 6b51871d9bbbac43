"""Draw the figures of the documentation, on drawn cells, with the package itself."""

from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab
from skimage.measure import label

import flowseg
from flowseg import plot, synthetic
from flowseg.blockwise._objects.flow_graph import MARGIN, graph_of_block
from flowseg.blockwise._objects.flow_merge import merge_blocks
from flowseg.blockwise._regions import BlockGrid

# Standard deviation of the error, smooth over a pixel, that stands for a network's: flows have length 1.
PREDICTION_ERROR = 0.3
# Least side of a panel in pixels of the screen: smaller ones are enlarged by a whole factor.
PANEL_SIDE = 240


def draw_all(folder: Path) -> None:
    """Write every picture into ``folder``."""
    folder.mkdir(exist_ok=True)
    image, masks = synthetic.cells((120, 120), 20, rng=11)
    _draw_idea(folder, image, masks)
    _draw_eight_bits(folder, masks)
    _draw_lightness(folder)
    _draw_losses(folder)
    _draw_seams(folder)
    _draw_volume(folder)


def _show(folder: Path, name: str, panels: list[tuple[str, np.ndarray]]) -> None:
    """Write a picture per panel, and NAME.rst, which shows them side by side or, on a phone, below each other."""
    lines = [".. container:: panels", ""]
    for k, (title, picture) in enumerate(panels):
        factor = -(-PANEL_SIDE // picture.shape[0])
        file = f"{name}_{k}.png"
        plt.imsave(folder / file, picture.repeat(factor, axis=0).repeat(factor, axis=1))
        lines += [f"   .. figure:: /{folder.name}/{file}", f"      :alt: {title}", "", f"      {title}", ""]
    (folder / f"{name}.rst").write_text("\n".join(lines), encoding="utf-8")


def _draw_idea(folder: Path, image: np.ndarray, masks: np.ndarray) -> None:
    flows = flowseg.masks_to_flows(masks)
    found = flowseg.flows_to_masks(flows, np.where(masks > 0, 5.0, -5.0))
    panels = [
        ("image", plot.outlines(image, np.zeros_like(masks))),
        ("masks", plot.mask_colors(masks)),
        ("their flows", plot.flow_colors(flows)),
        ("key to the flows", plot.flow_key(120)),
        ("masks again", plot.mask_colors(found)),
    ]
    _show(folder, "idea", panels)


def _draw_volume(folder: Path) -> None:
    """Draw three planes through a volume with the outlines of its masks, and its maximum projections."""
    spacing = (2.0, 1.0, 1.0)
    volume, masks = synthetic.cells((24, 80, 80), 40, diameter=16, spacing=spacing, rng=0)
    views = plot.orthogonal_views(volume, masks, spacing=spacing)
    projections = plot.maximum_projections(volume, masks, spacing=spacing)
    _show(folder, "volume", [("three planes", views), ("maximum projections", projections)])


def _draw_eight_bits(folder: Path, masks: np.ndarray) -> None:
    """The same error of prediction on flows with and without their negative half."""
    flows = flowseg.masks_to_flows(masks)
    cellprob = np.where(masks > 0, 5.0, -5.0)
    rng = np.random.default_rng(0)
    error = np.stack([gaussian_filter(rng.standard_normal(masks.shape), 1) for _ in range(2)])
    error *= PREDICTION_ERROR / error.std()
    signed = np.where(masks > 0, flows + error, 0)
    unsigned = np.where(masks > 0, np.maximum(np.clip(flows, 0, 1) + error, 0), 0)
    panels = []
    for name, predicted in (("signed flows, predicted", signed), ("8 bits or a ReLU, predicted", unsigned)):
        found = flowseg.flows_to_masks(predicted, cellprob, flow_threshold=None)
        score = flowseg.metrics.match(masks, found).average_precision
        panels += [
            (name, plot.flow_colors(predicted)),
            (f"masks from them: AP {score:.2f}", plot.mask_colors(found)),
        ]
    _show(folder, "eight_bits", panels)


def _draw_lightness(folder: Path) -> None:
    """Four colors of an annotation tool's palette that have the same whole lightness."""
    colors = np.array([[0, 192, 64], [64, 192, 0], [0, 192, 128], [64, 192, 64]], dtype=np.uint8)
    _, masks = synthetic.cells((60, 60), 7, rng=8)
    annotation = np.zeros((60, 60, 3), dtype=np.uint8)
    annotation[masks > 0] = colors[masks[masks > 0] % 4]
    lightness = rgb2lab(annotation)[..., 0].astype(int)
    panels = [
        ("colored annotation", annotation),
        ("objects by lightness", plot.mask_colors(label(lightness, connectivity=2))),
        ("masks_from_rgb", plot.mask_colors(flowseg.masks_from_rgb(annotation))),
    ]
    _show(folder, "lightness", panels)


def _draw_losses(folder: Path) -> None:
    """Cross-entropy of a foreground pixel against the network's output, done right and done wrong."""
    output = np.linspace(-6, 6, 601)
    right = np.log1p(np.exp(-output))
    unsquashed = -np.log(np.clip(output, 1e-7, 1 - 1e-7))
    thresholded = -np.log(np.clip((output > 0).astype(float), 1e-7, 1 - 1e-7))
    figure, ax = plt.subplots(figsize=(6.4, 3), layout="constrained")
    ax.plot(output, right, label="from logits: a slope everywhere", lw=2.5)
    ax.plot(output, unsquashed, label="from outputs without a sigmoid: flat below 0 and above 1", ls="--")
    ax.plot(output, thresholded, label="with a threshold inside: flat everywhere", ls=":")
    ax.set(xlabel="output of the network at a foreground pixel", ylabel="loss")
    ax.legend(fontsize=8)
    figure.savefig(folder / "losses.png", dpi=110)
    plt.close(figure)


def _draw_seams(folder: Path) -> None:
    """The same flows, segmented block by block in two ways: objects merged where they touch, and exact blocks."""
    _, masks = synthetic.cells((160, 160), 48, rng=3)
    rng = np.random.default_rng(0)
    error = np.stack([gaussian_filter(rng.standard_normal(masks.shape), 1) for _ in range(2)])
    flows = (flowseg.masks_to_flows(masks) + error * (PREDICTION_ERROR / error.std())).astype(np.float32)
    cellprob = np.where(masks > 0, 5.0, -5.0).astype(np.float32)
    panels = [
        ("blocks by themselves", _segment_alone(flows, cellprob)),
        ("merged where parts touch", _merge_touching(_segment_alone(flows, cellprob))),
        ("exact blocks", _segment_exactly(flows, cellprob)),
    ]
    shown = [(title, _with_seams(plot.mask_colors(found))) for title, found in panels]
    _show(folder, "seams", shown)


# Side of the blocks in the picture, in pixels.
BLOCK = 40


def _blocks(shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    starts = [(row, column) for row in range(0, shape[0], BLOCK) for column in range(0, shape[1], BLOCK)]
    return [(slice(row, row + BLOCK), slice(column, column + BLOCK)) for row, column in starts]


def _segment_alone(flows: np.ndarray, cellprob: np.ndarray) -> np.ndarray:
    found = np.zeros(cellprob.shape, dtype=np.int32)
    for part in _blocks(cellprob.shape):
        inside = flowseg.flows_to_masks(flows[(slice(None), *part)], cellprob[part], flow_threshold=None)
        found[part] = np.where(inside > 0, inside + found.max(), 0)
    return found


def _merge_touching(found: np.ndarray) -> np.ndarray:
    """Give objects of two blocks one label if half of the smaller one's pixels at the seam touch the other."""
    merged = found.copy()
    for axis in (0, 1):
        turned = np.moveaxis(merged, axis, 0)
        for seam in range(BLOCK, turned.shape[0], BLOCK):
            before, after = turned[seam - 1].copy(), turned[seam].copy()
            for pair in np.unique(np.stack([before, after])[:, (before > 0) & (after > 0)], axis=1).T:
                touching = np.count_nonzero((before == pair[0]) & (after == pair[1]))
                if 2 * touching >= min(np.count_nonzero(before == pair[0]), np.count_nonzero(after == pair[1])):
                    merged[merged == turned[seam][after == pair[1]][0]] = turned[seam - 1][before == pair[0]][0]
    return merged


def _segment_exactly(flows: np.ndarray, cellprob: np.ndarray) -> np.ndarray:
    grid = BlockGrid((1, *cellprob.shape), (1, BLOCK, BLOCK))
    graphs, fragments = [], []
    for index in range(grid.n):
        _, *window = grid[index].window(MARGIN, grid.shape).slices
        parts = np.ascontiguousarray(flows[:, None, window[0], window[1]])
        graph, of_block = graph_of_block(
            parts, np.ascontiguousarray(cellprob[None, window[0], window[1]]), grid, grid[index], 0.0
        )
        graphs.append(graph)
        fragments.append(of_block)
    objects = merge_blocks(graphs, grid, 15, fragments.__getitem__)
    found = np.zeros(grid.shape, dtype=np.int32)
    for index in range(grid.n):
        found[grid[index].slices] = objects.of_block(index)[fragments[index]]
    return found[0]


def _with_seams(picture: np.ndarray) -> np.ndarray:
    shown = picture.copy()
    shown[BLOCK::BLOCK, ::4] = shown[::4, BLOCK::BLOCK] = 255
    return shown
