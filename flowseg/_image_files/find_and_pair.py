"""Find files, and pair them by name."""

from __future__ import annotations

import glob
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Literal, get_args

from flowseg import _checks
from flowseg._image_files.bioio_formats import READERS
from flowseg._image_files.file_names import Folder, names_of
from flowseg._image_files.ome_zarr.nodes import is_zarr

# Ending of the name of a folder that is one image.
ZARR = ".zarr"
SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", *READERS)
# Files that one message names.
NAMED = 5
# Kinds of files to find.
Kind = Literal["images", "masks"]
KINDS = get_args(Kind)

StrPath = str | os.PathLike[str]


def find_files(where: StrPath | Sequence[StrPath], *, kind: Kind | None = None) -> list[Path]:
    """List image files.

    Parameters
    ----------
    where : path or sequence of path
        One file, a folder (its image files and OME-Zarr images, without other folders inside), or a glob pattern of
        files or folders; or several of these.
    kind : {"images", "masks"}, optional
        Files to take of a folder that holds images together with their masks, such as ``a.tif`` and ``a_masks.tif``; by
        default both. A file given by its own path is always taken.

    Returns
    -------
    files : list of pathlib.Path
        Sorted by name, each once; at least one. Pictures and flows beside masks, as ``flowseg predict`` and Cellpose
        write them (``a_overlay.png``, ``a_flows.tif``, ``a_cp_output.png``, ``a_masks.png`` beside ``a_masks.tif``),
        are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no image file in the folder or for the pattern.
    TypeError, ValueError
        If an argument is of another kind.

    Examples
    --------
    >>> import flowseg.io
    >>> flowseg.io.find_files("*.nothing")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    FileNotFoundError: '*.nothing' must name an image file, a folder or a pattern of them (.tif, ...); got none.
    """
    if kind is not None:
        _checks.check_choice(kind, "kind", KINDS)
    places = [where] if isinstance(where, str | os.PathLike) else list(where)
    if not places or not all(str(_checks.as_path(place, "where")) and place != "" for place in places):
        raise ValueError("where must name an image file, a folder or a pattern of them; got an empty string.")
    if len(places) == 1 and Path(places[0]).is_file():
        return [Path(places[0])]
    found = [file for place in places for file in _find(str(place))]
    kept = keep_kind(found, kind)
    if not kept:
        other = {"images": "masks", "masks": "images"}.get(kind or "", "pictures")
        raise FileNotFoundError(
            f"{list_files(places)} must name {kind or 'images or masks'}; there are only {other}, pictures and flows "
            f"of them, {list_files(sorted(found))}."
        )
    return sorted(kept)


def _find(where: str) -> list[Path]:
    """Return the files of one path or pattern; at least one."""
    found = glob_files(where)
    if not found and Path(where).is_dir():
        _refuse_empty(Path(where))
    if not found:
        raise FileNotFoundError(
            f"{where!r} must name an image file, a folder or a pattern of them ({', '.join(SUFFIXES)}); got none."
        )
    return found


def glob_files(where: str) -> list[Path]:
    """Return the image files of one path or pattern; a file given by its own path may have any name."""
    path = Path(where)
    if path.is_file() or is_zarr(path):
        return [path]
    if path.is_dir():
        return _list_folder(path)
    matched = [Path(name) for name in glob.glob(where, recursive=True)]
    found = [file for file in matched if _is_image(file)]
    return found or [file for folder in matched if folder.is_dir() for file in _list_folder(folder)]


def _list_folder(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if _is_image(file)]


def _is_image(path: Path) -> bool:
    """Return whether a path is an image file, or a folder that is a zarr store by its name."""
    if path.suffix.lower() == ZARR:
        return path.is_dir() and not path.name.startswith(".")
    return _is_image_name(path) and path.is_file()


def _refuse_empty(folder: Path) -> None:
    """Raise FileNotFoundError for a folder without image files; the message names those in folders inside it."""
    deeper = folder / "*" / "*"
    inside = [name for name in glob.glob(str(Path(glob.escape(str(folder))) / "*" / "*")) if _is_image_name(Path(name))]
    if inside:
        raise FileNotFoundError(
            f"{str(folder)!r} must hold image files; they are in folders inside it: name these, or give the pattern "
            f"'{deeper}'."
        )
    raise FileNotFoundError(
        f"{str(folder)!r} must name an image file, a folder or a pattern of them ({', '.join(SUFFIXES)}); got a folder "
        "without any."
    )


def _is_image_name(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def identity(file: Path) -> Path:
    """Return the same for every way to write the path of a file; a link is another file than its target."""
    return Path(os.path.realpath(file.parent)) / file.name


def keep_kind(files: Iterable[Path], kind: Kind | None, among: Iterable[Path] = ()) -> list[Path]:
    """Return each file once, without pictures; of folders that hold images together with their masks only one kind.

    A folder's content counts as it is on the disk, together with these files and those ``among`` which they are.
    """
    once = list({identity(file): file for file in files}.values())
    folders: dict[Path, list[Path]] = defaultdict(list)
    for file in once:
        folders[file.parent].append(file)
    others: dict[Path, list[Path]] = defaultdict(list)
    for file in among:
        others[file.parent].append(file)
    kept = []
    for parent, members in folders.items():
        folder = Folder({*members, *others[parent], *(_list_folder(parent) if parent.is_dir() else [])})
        leave_out: Callable[[Path], bool] = {"images": folder.is_masks, "masks": folder.is_image}.get(
            kind or "", lambda _: False
        )
        kept += [file for file in members if not folder.is_picture(file) and not leave_out(file)]
    return kept


def pair_files(first: Sequence[StrPath], second: Sequence[StrPath]) -> list[tuple[Path, Path]]:
    """Pair files by name.

    Parameters
    ----------
    first, second : sequence of path
        For example images and masks, in one folder or two. Of files on both sides (the same folder given twice) images
        count in `first` and their masks in `second`. Suffixes do not count, ``.ome.tif`` is one; without a
        partner of the same name, words for masks (``_masks``, ``_cp_masks``, ``_label``, ``_seg``, ``_gt``, ``mask_``
        and others) and for images (``_img``, ``_image``, ``_raw``, ``img_``) do not count either. Files of the same
        name in several folders pair by the names of their folders as well.

    Returns
    -------
    pairs : list of (pathlib.Path, pathlib.Path)
        In the order of `first`. One file on either side is a pair whatever the names. No file is paired with itself.

    Raises
    ------
    ValueError
        If a file has no partner or several; the message names up to five. If both sides are the same files.

    Examples
    --------
    >>> from pathlib import Path
    >>> from flowseg import io
    >>> pairs = io.pair_files([Path("a.png"), Path("b_img.png")], [Path("b_masks.tif"), Path("a.tif")])
    >>> [(x.name, y.name) for x, y in pairs]
    [('a.png', 'a.tif'), ('b_img.png', 'b_masks.tif')]
    """
    return match_files(first, second, ("first", "second"))


def match_files(first: Sequence[StrPath], second: Sequence[StrPath], names: tuple[str, str]) -> list[tuple[Path, Path]]:
    """Pair files as `pair_files` does; an error calls the sides by these names."""
    a, b = [Path(file) for file in first], [Path(file) for file in second]
    same = {os.path.realpath(file) for file in a} & {os.path.realpath(file) for file in b}
    if same:
        a, b = keep_kind(a, "images", b), keep_kind(b, "masks", a)
        common = [file for file in a if os.path.realpath(file) in {os.path.realpath(other) for other in b}]
        if not a or not b or len(common) == len(a):
            raise ValueError(
                f"{names[0]} and {names[1]} must be different files; got {list_files(common or first)} as both."
            )
    if len(a) == len(b) == 1:
        return [(a[0], b[0])]
    return _match(a, b)


def nearest_files(first: Sequence[Path], second: Sequence[Path], name: str) -> dict[Path, Path]:
    """Return for each first file the second one whose name is nearest; second files may be left over.

    An error calls the second files ``name``.
    """
    if len(first) == len(second) == 1:
        return {first[0]: second[0]}
    partners: dict[Path, list[Path]] = {}
    for near in _rank(list(first), list(second)):
        found: dict[Path, list[Path]] = defaultdict(list)
        for file, other in near:
            found[file].append(other)
        partners = dict(found) | partners
    alone = [file for file in first if file not in partners]
    if alone:
        raise ValueError(
            f"{name} must hold an image of the same name for every file; got none for {list_files(alone)}."
        )
    several = [other for file in first if len(partners[file]) > 1 for other in partners[file]]
    if several:
        raise ValueError(f"{name} must hold one image of a name; got several: {list_files(several)}.")
    return {file: partners[file][0] for file in first}


def _match(first: list[Path], second: list[Path]) -> list[tuple[Path, Path]]:
    """Return pairs of the nearest names: the fewer words of both names are ignored, the nearer is a pair."""
    partners: dict[Path, Path] = {}
    taken: set[Path] = set()
    several: list[Path] = []
    for near in _rank(first, second):
        free = [(a, b) for a, b in near if a not in partners and b not in taken]
        times = Counter(file for pair in free for file in set(pair))
        unclear = [(a, b) for a, b in free if times[a] > 1 or times[b] > 1]
        several += dict.fromkeys([*(a for a, _ in unclear), *(b for _, b in unclear)])
        partners.update(free)
        taken.update(b for _, b in free)
    alone = [file for file in first if file not in partners] + [file for file in second if file not in taken]
    if alone:
        raise ValueError(f"every file must have a partner of the same name; these have none: {list_files(alone)}.")
    if several:
        raise ValueError(f"every file must have one partner; these fit in several ways: {list_files(several)}.")
    return [(file, partners[file]) for file in first]


def _rank(first: list[Path], second: list[Path]) -> list[list[tuple[Path, Path]]]:
    """Return all pairs that share a name, in groups, the nearest first."""
    places = _places(first), _places(second)
    if any(len(set(side.values())) < 2 for side in places) or not set(places[0].values()) & set(places[1].values()):
        places = dict.fromkeys(first, ()), dict.fromkeys(second, ())
    by_name: dict[tuple[tuple[str, ...], str], list[tuple[int, Path]]] = defaultdict(list)
    for file in second:
        for distance, name in enumerate(names_of(file)):
            by_name[places[1][file], name].append((distance, file))
    found: dict[int, dict[tuple[Path, Path], None]] = defaultdict(dict)
    for file in first:
        best: dict[Path, int] = {}
        for distance, name in enumerate(names_of(file)):
            for other_distance, other in by_name[places[0][file], name]:
                total = distance + other_distance
                best[other] = min(total, best.get(other, total))
        for other, total in best.items():
            if identity(file) != identity(other):
                found[total][file, other] = None
    return [list(found[distance]) for distance in sorted(found)]


def _places(files: Iterable[Path]) -> dict[Path, tuple[str, ...]]:
    """Return the folders of the files without their common beginning and end."""
    parts = {file: Path(os.path.abspath(file.parent)).parts for file in files}
    begin = _count_same(parts.values())
    end = _count_same([part[begin:][::-1] for part in parts.values()])
    return {file: part[begin : len(part) - end] for file, part in parts.items()}


def _count_same(parts: Iterable[tuple[str, ...]]) -> int:
    """Return with how many folders all paths begin."""
    return sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, zip(*parts, strict=False)))


def list_files(files: Sequence[StrPath]) -> str:
    """Return five files for a message, and how many more there are."""
    named = ", ".join(str(file) for file in files[:NAMED])
    return named if len(files) <= NAMED else f"{named} and {len(files) - NAMED} more"
