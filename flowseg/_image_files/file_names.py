"""What the name of a file shows: its image, and whether it is that image, its masks or a picture of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

# Words before or after the name of an image. Masks: Cellpose, StarDist, ilastik, the Cell Tracking Challenge (man_seg).
MASK_WORDS = (
    r"cp[ _.-]?masks?|masks?|labels?|labell?ed|man_seg|seg|segmentations?|instances?|gt|ground[ _.-]?truth|annotations?"
)
IMAGE_WORDS = r"img|images?|im|raw|orig|original"
# Pictures and flows that flowseg and Cellpose write beside masks.
PICTURE_WORDS = r"overlay|flows|cp_output|(?:cp_)?outlines|cp_ncolor_masks|dP"
# Annotations in other forms, such as results of `flowseg convert`.
OTHER_WORDS = r"rois|objects"

GAP = r"[ _.-]+"
# The Cell Tracking Challenge: t012.tif with man_seg012.tif.
FRAME = re.compile(r"^t(\d{3,4})$")
# QuPath: a.tif.geojson belongs to a.tif.
INNER = re.compile(r"^(.+)\.(?:tiff?|png|jpe?g|bmp|czi|nd2|lif|svs|ndpi)$", re.IGNORECASE)


def _after(words: str) -> re.Pattern[str]:
    return re.compile(rf"^(.+?){GAP}(?:{words})$", re.IGNORECASE)


def _before(words: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:{words})(?:{GAP}|(?=\d))(.+)$", re.IGNORECASE)


def _alone(words: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:{words})()$", re.IGNORECASE)


OF_MASKS = (_after(MASK_WORDS), _before(MASK_WORDS), _alone(MASK_WORDS))
OF_IMAGES = (_after(IMAGE_WORDS), _before(IMAGE_WORDS), _alone(IMAGE_WORDS), FRAME)
OF_PICTURES = (_after(PICTURE_WORDS),)
OF_ANNOTATIONS = (_after(f"{PICTURE_WORDS}|{OTHER_WORDS}"),)


def stem_of(path: Path) -> str:
    """Return the name without suffix; ``.ome.tif`` is one suffix."""
    return _without_ome(path.stem)


def _without_ome(stem: str) -> str:
    return stem[:-4] if stem.lower().endswith(".ome") and len(stem) > 4 else stem


def _strip(stem: str, patterns: tuple[re.Pattern[str], ...]) -> str | None:
    """Return the rest without a word of these; None where there is none."""
    found = next((match for pattern in patterns if (match := pattern.match(stem))), None)
    return None if found is None else _without_ome(found.group(1))


def is_masks_name(path: Path) -> bool:
    """Return whether a file has the name of masks."""
    return _strip(stem_of(path), OF_MASKS) is not None


def names_of(path: Path) -> list[str]:
    """Return names of images that a file may belong to, the likeliest first: its own, then without words for kinds."""
    names = [stem_of(path)]
    while names[-1] and (rest := _strip(names[-1], (INNER, *OF_MASKS, *OF_ANNOTATIONS, *OF_IMAGES))) is not None:
        names.append(rest)
    return names


def bare_name(path: Path) -> str:
    """Return the name of the image that masks or another annotation belong to."""
    stem = stem_of(path)
    bare = _strip(stem, (*OF_ANNOTATIONS, OF_MASKS[0])) or stem
    return _strip(bare, (INNER,)) or bare


def picture_of(path: Path) -> str | None:
    """Return the name of the image that a picture or flows belong to; None for other names."""
    return _strip(stem_of(path), OF_PICTURES)


def _picture_word(path: Path, of: str) -> str:
    return stem_of(path)[len(of) :].lower()


def image_names(stem: str) -> set[str]:
    """Return the names of an image, with and without the word for images."""
    rest = _strip(stem, OF_IMAGES)
    return {stem} if rest is None else {stem, rest}


class Folder:
    """How the image files in one folder belong together, by their names.

    Parameters
    ----------
    files : iterable of Path
        All image files of the folder.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        every = list(files)
        self._images = {name for file in every for name in image_names(stem_of(file))}
        rests = [rest for file in every if (rest := _strip(stem_of(file), OF_MASKS)) is not None]
        self._masks = {name for rest in rests for name in image_names(rest)}
        beside = Counter(name for file in every for name in {*names_of(file), picture_of(file)})
        shown = {file: of for file in every if (of := picture_of(file)) is not None and beside[of] > 1}
        self._words = {_picture_word(file, of) for file, of in shown.items()}
        self._tiffs = {stem_of(file) for file in every if file.suffix.lower() in (".tif", ".tiff")}

    @property
    def is_mixed(self) -> bool:
        """Return whether it holds images together with their masks."""
        return bool(self._images & self._masks)

    def is_picture(self, file: Path) -> bool:
        """Return whether a file shows or repeats another: outlines or flows beside masks, masks as PNG beside TIFF.

        Where one file is a picture of another, files with the same word whose masks are missing are pictures, too.
        """
        of = picture_of(file)
        repeated = file.suffix.lower() == ".png" and is_masks_name(file) and stem_of(file) in self._tiffs
        return repeated or (of is not None and _picture_word(file, of) in self._words)

    def is_masks(self, file: Path) -> bool:
        """Return whether a file holds the masks of another."""
        rest = _strip(stem_of(file), OF_MASKS)
        return rest is not None and not image_names(rest).isdisjoint(self._images)

    def is_image(self, file: Path) -> bool:
        """Return whether a file is an image in a folder of images and masks, and so no masks."""
        has_masks = not image_names(stem_of(file)).isdisjoint(self._masks)
        return self.is_mixed and not self.is_masks(file) and (has_masks or not is_masks_name(file))
