"""``flowseg check``: report errors in annotations, file by file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from flowseg import io
from flowseg._image_files.find_and_pair import identity, list_files
from flowseg._labels.check import check_masks
from flowseg._labels.duplicates import fingerprint
from flowseg._labels.faults.findings import Finding, MasksReport
from flowseg._labels.mend import mend_masks
from flowseg._system.bars import bar
from flowseg.cli._batch.output_folder import check_output_folder, holding_output
from flowseg.cli._batch.result_names import name_results
from flowseg.cli._shared.annotation_files import read_raw_masks
from flowseg.cli._shared.errors import FAULTS, name_file, sentence_of
from flowseg.cli._shared.find_inputs import find_masks, find_masks_with_images
from flowseg.cli._shared.find_ndim import stack_of
from flowseg.cli._shared.image_reading import VOLUME, Reading, make_reading
from flowseg.cli._shared.label_stacks import TIMES, axes_of_labels, look_at_labels, volume_reading
from flowseg.cli._shared.options import READ, RUN, WRITE, AsJson, Axes, Spacing
from flowseg.cli._shared.terminal import print_json, print_lines
from flowseg.io._results import write_labels

# With fewer objects in all there is little to learn from.
FEW_OBJECTS = 50


def check(
    masks: Annotated[str, typer.Argument(metavar="MASKS", help="Label images: file, folder or pattern.")],
    images: Annotated[
        str | None, typer.Argument(metavar="IMAGES", help="Images of the same names as their masks.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Images of another set (validation or test), which must not be among IMAGES; may be repeated.",
            rich_help_panel=READ,
        ),
    ] = None,
    axes: Axes = None,
    spacing: Spacing = None,
    min_size: Annotated[int, typer.Option(help="Report objects of fewer pixels.", rich_help_panel=RUN)] = 5,
    mend: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write repaired masks to: each label one connected component, no specks, no holes.",
            rich_help_panel=WRITE,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report errors in annotations, one line each; the exit status is 1 if there are any.

    Errors are: binary masks in place of labels, labels that restart after 255, one label on several objects, labels of
    several connected components, specks, holes, masks shifted against their image, images that are in two sets, and
    more. Example:

    flowseg check masks images --against validation/images

    Label images whose planes are one volume are checked as volumes: planes that do not fit together are errors, too.
    """
    if against and images is None:
        raise ValueError("--against must come with IMAGES to compare; got none.")
    reading = make_reading(axes, None, None, None, None, spacing)
    partners: dict[Path, Path] = {} if images is None else dict(find_masks_with_images(masks, images))
    files = [*partners] if images is not None else find_masks([masks])
    others = [file for where in against or [] for file in io.find_files(where, kind="images")]
    targets = {} if mend is None else _plan_mending(mend, files, partners)
    with nullcontext() if mend is None else _mending_into(mend, targets):
        reports = _run_checks(Checks(partners, targets, reading, min_size), files, as_json=as_json)
    findings = [*_check_number(reports), *_check_sets(list(partners.values()), others, reading)]
    _report(reports, findings, as_json=as_json)


def _plan_mending(folder: Path, files: list[Path], partners: dict[Path, Path]) -> dict[Path, Path]:
    """Return the file to write the repaired masks of each file to; none of them may exist."""
    sources = [(file, partners[file]) if file in partners else (file,) for file in files]
    names = name_results(files)
    check_output_folder(folder, zip(names, sources, strict=True), "--mend")
    targets = {file: folder / f"{name}.tif" for file, name in zip(files, names, strict=True)}
    _check_free(targets)
    return targets


def _check_free(targets: dict[Path, Path]) -> None:
    for target in targets.values():
        if os.path.lexists(target):
            raise FileExistsError(f"--mend must be a folder without files of these names; {target} exists.")


@contextmanager
def _mending_into(folder: Path, targets: dict[Path, Path]) -> Iterator[None]:
    """Create the folder of the repaired masks, and hold it."""
    folder.mkdir(parents=True, exist_ok=True)
    places = {target.parent for target in targets.values()}
    with holding_output(folder, "flowseg check --mend", "--mend", places):
        _check_free(targets)
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
        yield


@dataclass(frozen=True)
class Checks:
    """How files are checked: their images, the files for repaired masks, how images are read, the smallest object."""

    partners: dict[Path, Path]
    targets: dict[Path, Path]
    reading: Reading
    min_size: int


def _run_checks(checks: Checks, files: list[Path], *, as_json: bool) -> dict[str, MasksReport]:
    """Check every file, repair it where there is a target, and print its findings at once."""
    reports: dict[str, MasksReport] = {}
    for file in bar(files, "checking"):
        report = _check_file(checks, file)
        reports[str(file)] = report
        if not as_json:
            for finding in report.findings:
                print_lines(f"{file}: {'' if finding.wrong else 'note: '}{finding.kind}: {finding.message}")
    return reports


def _check_file(checks: Checks, file: Path) -> MasksReport:
    partner, target = checks.partners.get(file), checks.targets.get(file)
    try:
        array = read_raw_masks(file, axes_of_labels(file, checks.reading))
        stack = look_at_labels(file, array.shape, checks.reading, partner)
        reading = volume_reading(checks.reading, stack.ndim)
        image = None if partner is None else reading.read_unchecked(partner)
        spacing = stack.spacing if stack.ndim == VOLUME else None
        if stack.stack == TIMES and target is None and partner is None:
            return _check_film(array, checks.min_size)
        stack.check_no_film()
        report = check_masks(array, image, min_size=checks.min_size, spacing=spacing)
        if target is not None:
            mended = mend_masks(array, min_size=checks.min_size).masks
            write_labels(target, mended, stack.pixel_size, stack.axes)
    except FAULTS as error:
        return MasksReport(0, (Finding("unreadable", sentence_of(error)),))
    return report


def _check_film(array: NDArray[Any], min_size: int) -> MasksReport:
    """Return the findings of every time of a series by itself; an object may come back with its label."""
    reports = [check_masks(plane, min_size=min_size) for plane in array]
    findings = [
        replace(finding, message=f"time {t}: {finding.message}")
        for t, report in enumerate(reports)
        for finding in report.findings
    ]
    return MasksReport(np.unique(array[array > 0]).size, tuple(findings))


def _check_number(reports: dict[str, MasksReport]) -> Iterator[Finding]:
    n = sum(report.n_objects for report in reports.values())
    if n < FEW_OBJECTS:
        yield Finding(
            "few", f"{n} objects in all files: little to learn from; {FEW_OBJECTS} would be a start.", wrong=False
        )


def _check_sets(images: list[Path], others: list[Path], reading: Reading) -> Iterator[Finding]:
    """Find images that occur twice: among the images, or in another set."""
    known = {identity(file) for file in images}
    again = [file for file in others if identity(file) in known]
    if again:
        every = "every image" if len({*map(identity, again)}) == len(known) else f"{len(again)} of {len(known)} images"
        yield Finding("leak", f"{every} of IMAGES is in --against, too, the same file: {list_files(again)}.")
    yield from _compare_pixels(images, sorted({file for file in others if identity(file) not in known}), reading)


def _compare_pixels(images: Sequence[Path], others: Sequence[Path], reading: Reading) -> Iterator[Finding]:
    """Find different files with the same image, which may be rotated or flipped."""
    of_another_set = set(others)
    files_by_print: dict[str, list[Path]] = defaultdict(list)
    for file in bar([*images, *others], "comparing"):
        try:
            files_by_print[_fingerprint(file, reading)].append(file)
        except FAULTS as error:
            if file in of_another_set:  # the images are checked already
                yield Finding("unreadable", name_file(str(file), sentence_of(error)))
    for files in files_by_print.values():
        n_others = sum(file in of_another_set for file in files)
        if len(files) > 1 and n_others < len(files):
            kind = "leak" if n_others else "duplicate"
            yield Finding(kind, f"the same image, perhaps rotated or flipped: {', '.join(map(str, files))}.")


def _fingerprint(file: Path, reading: Reading) -> str:
    """Return the digest of an image or a volume, the same for rotations and flips of its rows and columns."""
    if not stack_of(file, reading):
        return fingerprint(reading.read(file))
    return fingerprint(np.moveaxis(volume_reading(reading, VOLUME).read(file), 0, -1))


def _report(reports: dict[str, MasksReport], findings: list[Finding], *, as_json: bool) -> None:
    """Print the findings about the whole set and a summary; exit with status 1 if there are errors."""
    n_wrong = sum(not report.ok for report in reports.values())
    n_general = sum(finding.wrong for finding in findings)
    if as_json:
        by_file = {name: [vars(finding) for finding in report.findings] for name, report in reports.items()}
        print_json({"files": by_file, "all": [vars(finding) for finding in findings]})
    else:
        lines = [f"{finding.kind}: {finding.message}" for finding in findings]
        print_lines(*lines, _summarize(reports, n_wrong, n_general))
    if n_wrong or n_general:
        raise typer.Exit(1)


def _summarize(reports: dict[str, MasksReport], n_wrong: int, n_general: int) -> str:
    n_objects = sum(report.n_objects for report in reports.values())
    counts = f"{n_objects} objects in {len(reports)} file{'s' * (len(reports) != 1)}"
    if not n_wrong and not n_general:
        return f"{counts}, no files with errors"
    errors = [f"{n_wrong} file{'s' * (n_wrong != 1)} with errors"] if n_wrong else []
    errors += [f"{n_general} error{'s' * (n_general != 1)} of the whole set"] if n_general else []
    return f"{counts}, {' and '.join(errors)}"
