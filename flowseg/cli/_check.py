"""``flowseg check``: look for what is wrong with annotations, file by file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import typer

from flowseg import io
from flowseg._image_files.find_and_pair import identity, list_files
from flowseg._labels.doctor import Finding, MasksReport, check_masks
from flowseg._labels.duplicates import fingerprint
from flowseg._labels.mend import mend_masks
from flowseg._system.bars import bar
from flowseg._system.locks import holding_folder
from flowseg.cli._shared.annotations import read_loose_masks
from flowseg.cli._shared.batch import Task, check_folder
from flowseg.cli._shared.inputs import find_masks, find_masks_with_images, result_names
from flowseg.cli._shared.options import READ, RUN, WRITE, AsJson
from flowseg.cli._shared.say import say, say_json
from flowseg.cli._shared.stream import FAULTS, name_file, sentence_of
from flowseg.io._results import write_labels

# With fewer objects in all there is little to learn from.
FEW_OBJECTS = 50


def check(
    masks: Annotated[str, typer.Argument(metavar="MASKS", help="Label images: file, folder or pattern.")],
    images: Annotated[str | None, typer.Argument(metavar="IMAGES", help="Their images, by the same names.")] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Images of another split, which must not be among IMAGES; may be repeated.", rich_help_panel=READ
        ),
    ] = None,
    min_size: Annotated[int, typer.Option(help="Report objects of fewer pixels.", rich_help_panel=RUN)] = 5,
    mend: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write repaired masks to: one piece each, no specks, no holes.", rich_help_panel=WRITE
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong with annotations; exit status 1 when something is.

    One line per finding: binary masks in the place of labels, labels that began anew at 255, one label on several
    objects, pieces, specks, holes, masks shifted against their image, images that are in two splits, and more. Example:

    flowseg check masks images --against validation/images
    """
    if against and images is None:
        raise ValueError("--against must come with IMAGES to compare; got none.")
    partners: dict[Path, Path] = {} if images is None else dict(find_masks_with_images(masks, images))
    files = [*partners] if images is not None else find_masks([masks])
    targets = {} if mend is None else _plan_mending(mend, files, partners)
    reports: dict[str, MasksReport] = {}
    with nullcontext() if mend is None else _mending_into(mend, targets):
        for file in bar(files, "checking"):
            reports[str(file)] = _check_file(file, partners.get(file), min_size, targets.get(file))
            if not as_json:
                _print(str(file), reports[str(file)])
    general = [*_check_number(reports), *_check_splits(list(partners.values()), against or [])]
    wrong = sum(not report.ok for report in reports.values())
    if as_json:
        files_said = {name: [vars(f) for f in report.findings] for name, report in reports.items()}
        say_json({"files": files_said, "all": [vars(f) for f in general]})
    else:
        for finding in general:
            say(f"{finding.kind}: {finding.message}")
        say(_summarize(reports, wrong, sum(finding.wrong for finding in general)))
    if wrong or any(finding.wrong for finding in general):
        raise typer.Exit(1)


def _plan_mending(folder: Path, files: list[Path], partners: dict[Path, Path]) -> dict[Path, Path]:
    """Where the repaired masks of each file are to be written, in place of nothing."""
    sources = [(file, partners[file]) if file in partners else (file,) for file in files]
    names = result_names(files)
    check_folder(folder, [Task(both, name, ()) for both, name in zip(sources, names, strict=True)], "--mend")
    targets = {file: folder / f"{name}.tif" for file, name in zip(files, names, strict=True)}
    _check_free(targets)
    return targets


def _check_free(targets: dict[Path, Path]) -> None:
    for target in targets.values():
        if os.path.lexists(target):
            raise FileExistsError(f"--mend must be a folder without files of these names; {target} is there.")


@contextmanager
def _mending_into(folder: Path, targets: dict[Path, Path]) -> Iterator[None]:
    """Make the folder of the repaired masks, and hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    with holding_folder(folder, "flowseg check --mend", f"--mend {folder}"):
        _check_free(targets)
        for target in targets.values():
            target.parent.mkdir(parents=True, exist_ok=True)
        yield


def _check_file(file: Path, partner: Path | None, min_size: int, target: Path | None) -> MasksReport:
    try:
        array = read_loose_masks(file)
        report = check_masks(array, None if partner is None else io.read_image(partner), min_size=min_size)
        if target is not None:
            mended = mend_masks(array, min_size=min_size).masks
            write_labels(target, mended, io.read_pixel_size(file))
    except FAULTS as error:
        return MasksReport(0, (Finding("unreadable", sentence_of(error)),))
    return report


def _print(name: str, report: MasksReport) -> None:
    for finding in report.findings:
        mark = "" if finding.wrong else "note: "
        say(f"{name}: {mark}{finding.kind}: {finding.message}")


def _check_number(reports: dict[str, MasksReport]) -> Iterator[Finding]:
    n = sum(report.n_objects for report in reports.values())
    if n < FEW_OBJECTS:
        yield Finding(
            "few", f"{n} objects in all files: little to learn from; {FEW_OBJECTS} would be a start.", wrong=False
        )


def _summarize(reports: dict[str, MasksReport], n_wrong: int, n_general: int) -> str:
    n_objects = sum(report.n_objects for report in reports.values())
    said = f"{n_objects} objects in {len(reports)} file{'s' * (len(reports) != 1)}"
    if not n_wrong and not n_general:
        return f"{said}, no files with faults"
    faults = [f"{n_wrong} file{'s' * (n_wrong != 1)} with faults"] if n_wrong else []
    faults += [f"{n_general} fault{'s' * (n_general != 1)} of the whole set"] if n_general else []
    return f"{said}, {' and '.join(faults)}"


def _check_splits(images: list[Path], against: list[str]) -> Iterator[Finding]:
    """The same image twice: among the images, or in another split."""
    others = [file for where in against for file in io.find_files(where, kind="images")]
    known = {identity(file) for file in images}
    again = [file for file in others if identity(file) in known]
    if again:
        every = "every image" if len({*map(identity, again)}) == len(known) else f"{len(again)} of {len(known)} images"
        yield Finding("leak", f"{every} of IMAGES is in --against, too, the same file: {list_files(again)}.")
    seen: dict[str, list[Path]] = defaultdict(list)
    apart = {file for file in others if identity(file) not in known}
    for file in bar([*images, *sorted(apart)], "comparing"):
        try:
            seen[fingerprint(io.read_image(file))].append(file)
        except FAULTS as error:
            if file in apart:  # the images are checked already
                yield Finding("unreadable", name_file(str(file), sentence_of(error)))
    for files in seen.values():
        across = any(file in apart for file in files) and any(file not in apart for file in files)
        if len(files) > 1 and (across or not any(file in apart for file in files)):
            kind = "leak" if across else "duplicate"
            yield Finding(kind, f"the same image, perhaps turned: {', '.join(map(str, files))}.")
