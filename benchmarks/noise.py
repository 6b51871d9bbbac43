"""What the model that ships finds in noise without any nucleus, and where it warns of it.

python benchmarks/noise.py DATA > docs/tables/noise.csv

Noise of many kinds, smoothed by Gaussians: objects per megapixel, at most and on average over the widths, and how many
of them come without a warning. Then the real images of DATA: how many have a warning, and the least sharpness. In DSB
2018, validation and test images, the model looks for objects; the other masks are the true ones, as of a perfect model.
"""

import argparse
import csv
import io as streams
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from flowseg import FlowSegmenter, io
from flowseg._segmenters.noise_check import LEAST_SHARPNESS, sharpness

Array = NDArray[np.generic]
SIDE = 256
WIDTHS = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30)  # pixels
EXPONENTS = (0.5, 1, 1.5, 2, 2.5, 3)  # of 1/f noise
SEED = 1000
SETS = ("dsb2018", "aitslab", "coelho2009_nuclei", "bacteria_omnipose", "dsb2018_brightfield", "dsb2018_histology")
TO_PREDICT = ("val", "test_open")


def smooth(values: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Mean 0 and standard deviation 1 after a Gaussian filter."""
    values = ndimage.gaussian_filter(values, width, mode="wrap")
    return (values - values.mean()) / values.std()


def white(rng: np.random.Generator, width: float) -> NDArray[np.float64]:
    """Smoothed Gaussian noise."""
    return smooth(rng.standard_normal((SIDE, SIDE)), width)


def bytes_of(values: NDArray[np.float64], mean: float, deviation: float) -> Array:
    """As 8-bit image."""
    return np.clip(np.rint(mean + deviation * values), 0, 255).astype(np.uint8)


def counts(rng: np.random.Generator, width: float, mean: float) -> Array:
    """Smoothed photon counts."""
    return ndimage.gaussian_filter(rng.poisson(mean, (SIDE, SIDE)).astype(np.float32), width, mode="wrap")


def compressed(rng: np.random.Generator, width: float) -> Array:
    """After JPEG."""
    stream = streams.BytesIO()
    Image.fromarray(bytes_of(white(rng, width), 100, 15)).save(stream, "JPEG", quality=40)
    return np.array(Image.open(stream))


def vignetted(rng: np.random.Generator, width: float) -> Array:
    """Darker towards the corners."""
    row, column = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    return np.clip((120 + 12 * white(rng, width)) * (1 - 1.2 * (row**2 + column**2)), 0, 255).astype(np.uint8)


def tilted(rng: np.random.Generator, width: float) -> Array:
    """Brighter towards a corner."""
    row, column = np.mgrid[:SIDE, :SIDE] / SIDE
    return bytes_of(white(rng, width) + 4 * (column + 0.5 * row), 60, 15)


def camera(rng: np.random.Generator, width: float) -> Array:
    """With an offset and half as much read noise, 16 bits."""
    values = white(rng, width) + 0.5 * rng.standard_normal((SIDE, SIDE))
    return np.rint(104 + 6 * values).astype(np.uint16)


def fractal(rng: np.random.Generator, exponent: float) -> Array:
    """1/f noise."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None])
    frequency[0, 0] = np.inf
    values = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) / frequency**exponent, (SIDE, SIDE))
    return bytes_of(values / values.std(), 100, 25)


KINDS: dict[str, Callable[[np.random.Generator, float], Array]] = {
    "white, 8 bits": lambda rng, width: bytes_of(white(rng, width), 100, 20),
    "white, 16 bits": lambda rng, width: np.rint(1000 + 150 * white(rng, width)).astype(np.uint16),
    "white, floats": lambda rng, width: white(rng, width).astype(np.float32),
    "photons, 1 per pixel": lambda rng, width: counts(rng, width, 1.0),
    "photons, 0.1 per pixel": lambda rng, width: counts(rng, width, 0.1),
    "photons of a smooth ground": lambda rng, width: rng.poisson(np.clip(5 + 2 * white(rng, width), 0, None)),
    "speckle": lambda rng, width: white(rng, width) ** 2 + white(rng, width) ** 2,
    "log-normal": lambda rng, width: np.exp(0.5 * white(rng, width)),
    "lower half cut off": lambda rng, width: np.clip(white(rng, width), 0, None),
    "camera with offset": camera,
    "uneven illumination": tilted,
    "vignetted": vignetted,
    "JPEG": compressed,
    "five gray levels": lambda rng, width: bytes_of(white(rng, width), 10, 0.6),
    "nine gray levels": lambda rng, width: bytes_of(white(rng, width), 10, 1.1),
    "1/f": fractal,
}


def measure_noise(segmenter: FlowSegmenter) -> Iterator[tuple[str, float, float, float]]:
    """Name; objects per megapixel, at most and on average; those without a warning."""
    for name, kind in KINDS.items():
        found, silent = [], []
        for i, width in enumerate(EXPONENTS if kind is fractal else WIDTHS):
            image = kind(np.random.default_rng(SEED + i), width)
            masks = segmenter.predict(image)
            found.append(int(masks.max()))
            silent.append(0 if sharpness(image, masks) < LEAST_SHARPNESS else found[-1])
        per_megapixel = 1e6 / SIDE**2
        yield name, max(found) * per_megapixel, np.mean(found) * per_megapixel, np.mean(silent) * per_megapixel


def measure_real(segmenter: FlowSegmenter, data: Path) -> Iterator[tuple[str, int, int, float]]:
    """Name, images with objects, how many of them have a warning, least sharpness."""
    for name in SETS:
        with open(data / name / "samples.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        for split in dict.fromkeys(row["split"] for row in rows):
            predicts = name == "dsb2018" and split in TO_PREDICT
            values = []
            for row in (row for row in rows if row["split"] == split):
                image = io.read_image(data / name / row["image"])
                masks = segmenter.predict(image) if predicts else tifffile.imread(data / name / row["label"])
                values.append(sharpness(image, masks))
            known = np.array(values)[~np.isnan(values)]
            title = f"{name}, {split}, {'predicted' if predicts else 'true'} masks"
            yield title, known.size, np.count_nonzero(known < LEAST_SHARPNESS), known.min()


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds dsb2018")
    options = parser.parse_args()
    segmenter = FlowSegmenter.from_pretrained("nuclei")
    writer = csv.writer(sys.stdout)
    writer.writerow(["objects per megapixel in noise", "at most", "mean", "without a warning"])
    for name, most, mean, silent in measure_noise(segmenter):
        writer.writerow([name, f"{most:.0f}", f"{mean:.0f}", f"{silent:.1f}"])
    writer.writerow(["real images", "with objects", "with a warning", "least sharpness"])
    for name, n_images, n_warned, least in measure_real(segmenter, options.data):
        writer.writerow([name, n_images, n_warned, f"{least:.2f}"])


if __name__ == "__main__":
    main()
