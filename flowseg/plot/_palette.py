"""Colors of outlines, objects and charts, as red, green and blue from 0 to 255."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Color of outlines: yellow, which stands out from gray, red, green and purple images.
OUTLINE_COLOR = (255, 220, 0)
# Colors that remain distinct under every kind of color blindness; their black is left to the background.
# M. Okabe, K. Ito, "Color universal design", 2008, https://jfly.uni-koeln.de/color/
ORANGE, SKY_BLUE, BLUISH_GREEN = (230, 159, 0), (86, 180, 233), (0, 158, 115)
YELLOW, BLUE, VERMILLION, REDDISH_PURPLE = (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)
PALETTE = (ORANGE, SKY_BLUE, BLUISH_GREEN, YELLOW, BLUE, VERMILLION, REDDISH_PURPLE)
# Where these are not enough: white and gray, then an even grid of colors, none darker than this (of 255).
MORE_COLORS = ((255, 255, 255), (128, 128, 128))
DARKEST = 40


def make_palette(n: int) -> NDArray[np.uint8]:
    """Return at least ``n`` different colors, the most distinct ones first."""
    palette = np.array([*PALETTE, *MORE_COLORS], dtype=np.uint8)
    if n <= len(palette):
        return palette
    levels = np.linspace(DARKEST, 255, int(np.ceil(n ** (1 / 3))) + 1).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    known = (grid[:, None] == palette).all(axis=2).any(axis=1)
    return np.concatenate([palette, grid[~known]])
