"""The chart of learning curves, as SVG in an HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowseg._report.answer_page import escape

if TYPE_CHECKING:
    from flowseg._curve.result import SegmenterCurve

# Size of the drawing, and the margins for the numbers at its left and below, in units of SVG.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BELOW = 720, 400, 48, 30, 12, 56
# Curves that have a color and a shape of their own; more of them repeat these.
N_STYLES = 4
# Half the side of a point's shape.
POINT = 4.0
# Distances between numbers at the left that are tried, the first that gives few enough of them is used.
STEPS, MOST_TICKS = (0.02, 0.05, 0.1, 0.2), 8


class Axes(NamedTuple):
    """From numbers of images and average precision to places in the drawing."""

    images: tuple[float, float]
    precision: tuple[float, float]

    def x(self, n_images: float) -> float:
        """Return the column of a number of images, on a logarithmic scale."""
        low, high = np.log(self.images)
        return LEFT + (WIDTH - LEFT - RIGHT) * float((np.log(n_images) - low) / (high - low))

    def y(self, precision: float) -> float:
        """Return the row of an average precision."""
        low, high = self.precision
        return HEIGHT - BELOW - (HEIGHT - TOP - BELOW) * (precision - low) / (high - low)

    def path(self, n_images: Sequence[float], precision: Sequence[float]) -> str:
        """Return the points of a line."""
        places = (f"{self.x(n):.1f},{self.y(value):.1f}" for n, value in zip(n_images, precision, strict=True))
        return " ".join(places)


def draw_chart(curves: Sequence[SegmenterCurve]) -> str:
    """Return the chart of average precision at IoU 0.5, with a legend; empty if nothing was trained."""
    trained = [curve for curve in curves if curve.train_sizes[-1] > 0]
    if not trained:
        return ""
    axes, step = _make_axes(curves, trained)
    styles = {curve.name: f"s{k % N_STYLES}" for k, curve in enumerate(curves)}
    lines = [_draw_scales(axes, step, trained)]
    lines += [_draw_band(axes, curve, styles[curve.name]) for curve in trained]
    lines += [_draw_level(axes, curve, styles[curve.name]) for curve in curves if curve.train_sizes[-1] == 0]
    lines += [_draw_curve(axes, curve, styles[curve.name]) for curve in trained]
    label = "Average precision at IoU 0.5 against the number of training images"
    legend = "".join(
        f'<span class="{styles[curve.name]}"><svg viewBox="-8 -8 16 16" aria-hidden="true">'
        f"{_draw_point(0.0, 0.0, styles[curve.name])}</svg> {escape(curve.name)}</span> "
        for curve in curves
    )
    return (
        f'<figure class="curves"><p class="legend">{legend}</p>\n<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{label}">\n' + "\n".join(lines) + "</svg>\n<figcaption>Average precision at IoU 0.5. Large "
        "points: all test images; small ones: each fold. Line and band: the fitted curve and its 95 % interval, dashed "
        "beyond the largest training set. A level line is a model that is used as it is.</figcaption></figure>"
    )


def _make_axes(curves: Sequence[SegmenterCurve], trained: Sequence[SegmenterCurve]) -> tuple[Axes, float]:
    """Return axes that hold everything, and the distance of the numbers at the left."""
    values = [curve.test_scores[..., 0].ravel() for curve in curves]
    values += [curve.prediction.interval[:, 0].ravel() for curve in trained if curve.prediction is not None]
    lowest, highest = float(np.concatenate(values).min()), float(np.concatenate(values).max())
    step = next((step for step in STEPS if (highest - lowest) / step <= MOST_TICKS - 1), STEPS[-1])
    low, high = np.floor(lowest / step + 1e-9) * step, np.ceil(highest / step - 1e-9) * step
    ends = [float(curve.prediction.n_images[-1]) for curve in trained if curve.prediction is not None]
    sizes = np.concatenate([curve.train_sizes for curve in trained])
    most = max([*ends, float(sizes.max())])
    return Axes((sizes.min() * 0.9, most * 1.1), (float(low), float(max(high, low + step)))), step


def _draw_scales(axes: Axes, step: float, trained: Sequence[SegmenterCurve]) -> str:
    low, high = axes.precision
    lines = []
    for value in np.arange(low, high + step / 2, step).tolist():
        row = axes.y(value)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{row:.1f}" y2="{row:.1f}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{row + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    row = HEIGHT - BELOW
    for n_images, objects in _label_sizes(trained):
        column = axes.x(n_images)
        lines.append(f'<line class="grid" x1="{column:.1f}" x2="{column:.1f}" y1="{row}" y2="{row + 5}"/>')
        lines.append(f'<text x="{column:.1f}" y="{row + 18}" text-anchor="middle">{n_images}</text>')
        lines.append(f'<text class="soft" x="{column:.1f}" y="{row + 33}" text-anchor="middle">{objects}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(
        f'<text class="soft" x="{middle}" y="{row + 50}" text-anchor="middle">training images, and their objects '
        "below</text>"
    )
    return "\n".join(lines)


def _label_sizes(trained: Sequence[SegmenterCurve]) -> list[tuple[int, str]]:
    """Return the numbers of images below the chart, each with its number of objects; the last ones are predicted."""
    objects = {
        int(n): f"{round(float(own.mean()))}"
        for curve in trained
        for n, own in zip(curve.train_sizes, curve.train_objects, strict=True)
    }
    ends = {
        round(float(curve.prediction.n_images[-1])): f"about {round(2 * float(curve.train_objects[-1].mean()))}"
        for curve in trained
        if curve.prediction is not None
    }
    return sorted((ends | objects).items())


def _draw_band(axes: Axes, curve: SegmenterCurve, style: str) -> str:
    if curve.prediction is None:
        return ""
    n_images, (low, high) = curve.prediction.n_images, curve.prediction.interval[:, 0].T
    around = axes.path([*n_images, *n_images[::-1]], [*low, *high[::-1]])
    return f'<polygon class="band {style}" points="{around}"/>'


def _draw_level(axes: Axes, curve: SegmenterCurve, style: str) -> str:
    """Return the line of a segmenter that is used as it is."""
    row = axes.y(float(curve.precision[-1, 0]))
    return f'<line class="line {style}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{row:.1f}" y2="{row:.1f}"/>'


def _draw_curve(axes: Axes, curve: SegmenterCurve, style: str) -> str:
    lines = []
    if curve.prediction is not None:
        n_images, values = curve.prediction.n_images, curve.prediction.precision[:, 0]
        largest = float(curve.train_sizes[-1])
        end = float(np.interp(np.log(largest), np.log(n_images), values))
        within = n_images < largest
        measured = axes.path([*n_images[within], largest], [*values[within], end])
        beyond = axes.path([largest, *n_images[~within]], [end, *values[~within]])
        lines.append(f'<polyline class="line {style}" points="{measured}"/>')
        lines.append(f'<polyline class="line beyond {style}" points="{beyond}"/>')
    for n, scores, value in zip(curve.train_sizes.tolist(), curve.test_scores, curve.precision, strict=True):
        lines += [_draw_fold(axes.x(n), axes.y(score), style) for score in scores[:, 0].tolist()]
        lines.append(_draw_point(axes.x(n), axes.y(float(value[0])), style))
    return "\n".join(lines)


def _draw_fold(x: float, y: float, style: str) -> str:
    return f'<circle class="fold {style}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>'


def _draw_point(x: float, y: float, style: str) -> str:
    """Return a point, whose shape tells the curves apart without their colors."""
    shapes = {
        "s0": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "s1": [(0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)],
        "s2": [(0, -1.3), (1.3, 1), (-1.3, 1)],
        "s3": [(0, 1.3), (1.3, -1), (-1.3, -1)],
    }
    corners: NDArray[np.float64] = np.array(shapes[style]) * POINT + (x, y)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners.tolist())
    return f'<polygon class="point {style}" points="{points}"/>'
