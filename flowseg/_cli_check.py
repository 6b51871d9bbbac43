"""``flowseg check``: look for what is wrong with annotations, file by file."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from flowseg import io
from flowseg._cli_annotations import read_loose_masks
from flowseg._cli_batch import Task, check_folder
from flowseg._cli_stream import FAULTS, name_file, sentence_of
from flowseg._doctor import Finding, MasksReport, check_masks
from flowseg._duplicates import fingerprint
from flowseg._mending import mend_masks
from flowseg._result_kinds import write_labels

# With fewer objects in all there is little to learn from.
FEW_OBJECTS = 50


def check(
    masks: Annotated[str, typer.Argument(metavar="MASKS", help="Label images: file, folder or pattern.")],
    images: Annotated[str | None, typer.Argument(metavar="[IMAGES]", help="Their images, by the same names.")] = None,
    against: Annotated[
        list[str] | None, typer.Option(help="Images of another split, which must not be among IMAGES; may be repeated.")
    ] = None,
    min_size: Annotated[int, typer.Option(help="Report objects of fewer pixels.")] = 5,
    mend: Annotated[
        Path | None, typer.Option(help="Folder to write repaired masks to: one piece each, no specks, no holes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
) -> None:
    """Look for what is wrong with annotations; exit status 1 when something is.

    One line per finding: binary masks in the place of labels, labels that began anew at 255, one label on several
    objects, pieces, specks, holes, masks shifted against their image, images that are in two splits, and more. Example:

    flowseg check masks images --against validation/images
    """
    if against and images is None:
        raise ValueError("--against must come with IMAGES to compare; got none.")
    files = io.find_files(masks)
    partners: dict[Path, Path] = dict(io.pair_files(files, io.find_files(images))) if images is not None else {}
    if mend is not None:
        _make_folder(mend, files, partners)
    reports: dict[str, MasksReport] = {}
    for file in tqdm(files, "checking", disable=None, leave=False):
        reports[str(file)] = _check_file(file, partners.get(file), min_size, mend)
        if not as_json:
            _print(str(file), reports[str(file)])
    general = [*_check_number(reports), *_check_splits(list(partners.values()), against or [])]
    wrong = sum(not report.ok for report in reports.values())
    if as_json:
        files_said = {name: [vars(f) for f in report.findings] for name, report in reports.items()}
        typer.echo(json.dumps({"files": files_said, "all": [vars(f) for f in general]}, indent=1))
    else:
        for finding in general:
            typer.echo(f"{finding.kind}: {finding.message}")
        n_objects = sum(report.n_objects for report in reports.values())
        typer.echo(f"{n_objects} objects in {len(files)} files, {wrong or 'no'} file{'s' * (wrong != 1)} with faults")
    if wrong or any(finding.wrong for finding in general):
        raise typer.Exit(1)


def _make_folder(folder: Path, files: list[Path], partners: dict[Path, Path]) -> None:
    """Make the folder of the repaired masks, which take the place of nothing."""
    sources = [(file, partners[file]) if file in partners else (file,) for file in files]
    check_folder(folder, [Task(both, both[0].stem, ()) for both in sources], "--mend")
    for target in (_repaired(folder, file) for file in files):
        if os.path.lexists(target):
            raise FileExistsError(f"--mend must be a folder without files of these names; {target} is there.")
    folder.mkdir(parents=True, exist_ok=True)


def _repaired(folder: Path, file: Path) -> Path:
    return folder / f"{file.stem}.tif"


def _check_file(file: Path, partner: Path | None, min_size: int, mend: Path | None) -> MasksReport:
    try:
        array = read_loose_masks(file)
        report = check_masks(array, None if partner is None else io.read_image(partner), min_size=min_size)
        if mend is not None:
            mended = mend_masks(array, min_size=min_size).masks
            write_labels(_repaired(mend, file), mended, io.read_pixel_size(file))
    except FAULTS as error:
        return MasksReport(0, (Finding("unreadable", sentence_of(error)),))
    return report


def _print(name: str, report: MasksReport) -> None:
    for finding in report.findings:
        mark = "" if finding.wrong else "note: "
        typer.echo(f"{name}: {mark}{finding.kind}: {finding.message}")


def _check_number(reports: dict[str, MasksReport]) -> Iterator[Finding]:
    n = sum(report.n_objects for report in reports.values())
    if n < FEW_OBJECTS:
        yield Finding(
            "few", f"{n} objects in all files: little to learn from; {FEW_OBJECTS} would be a start.", wrong=False
        )


def _check_splits(images: list[Path], against: list[str]) -> Iterator[Finding]:
    """The same image twice: among the images, or in another split."""
    others = {file for where in against for file in io.find_files(where)}
    seen: dict[str, list[Path]] = defaultdict(list)
    for file in tqdm([*images, *sorted(others)], "comparing", disable=None, leave=False):
        try:
            seen[fingerprint(io.read_image(file))].append(file)
        except FAULTS as error:
            if file in others:  # the images are checked already
                yield Finding("unreadable", name_file(str(file), sentence_of(error)))
    for files in seen.values():
        across = any(file in others for file in files) and any(file not in others for file in files)
        if len(files) > 1 and (across or not any(file in others for file in files)):
            kind = "leak" if across else "duplicate"
            yield Finding(kind, f"the same image, perhaps turned: {', '.join(map(str, files))}.")
