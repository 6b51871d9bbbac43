"""Tables and figures of the documentation's page "Is it better?", from the results of run.py.

python benchmarks/accuracy/draw.py benchmarks/accuracy/results.json docs
"""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from by_image import write_ahead, write_sizes
from run import MINUTES, SHORT_MINUTES
from scores import THRESHOLDS, difference, pooled, say_difference

NAMES = {
    "flowseg flow": "flowseg, flows",
    "flowseg boundary": "flowseg, three classes",
    "stardist default": "StarDist 0.9.2",
    "stardist scaled": "StarDist 0.9.2, images shrunk",
    "cellpose nuclei": "Cellpose 3.1.1.3",
    "cellpose cells": "Cellpose 3.1.1.3",
    "cellpose nuclei estimated": "Cellpose 3.1.1.3, diameters estimated",
    "cellpose cells estimated": "Cellpose 3.1.1.3, diameters estimated",
}
TITLES = {
    "dsb2018": "nuclei of many experiments",
    "aitslab/nuclei": "large nuclei",
    "aitslab/cells": "whole cells",
    "dsb2018_histology": "stained tissue",
}
CURVES = {"flow": "from scratch", "flow:nuclei": "from the nuclei model"}
COLORS = {
    "flowseg, flows": "tab:blue",
    "flowseg, three classes": "tab:orange",
    "StarDist 0.9.2": "tab:green",
    "StarDist 0.9.2, images shrunk": "tab:olive",
    "Cellpose 3.1.1.3": "tab:red",
    "Cellpose 3.1.1.3, diameters estimated": "tab:pink",
}
# Panels beside each other.
COLUMNS = 2
AT = AT_HALF, AT_THREE_QUARTERS = THRESHOLDS.index(0.5), THRESHOLDS.index(0.75)

# What others are compared with: all trainings; image by image the first.
OURS = NAMES["flowseg flow"]
OURS_FIRST = f"{OURS}, seed 0"

Results = dict[str, dict[str, Any]]


def jobs_of(results: Results, data: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name in the tables and result of every job of full length that saw all images, in the order of NAMES."""
    found = {}
    for tool, name in NAMES.items():
        for key, result in sorted(results.items()):
            parts = key.split(" | ")
            if parts[:2] == [data, tool] and parts[3] == f"{MINUTES:g} min":
                found[f"{name}, {parts[2]}" if tool.startswith("flowseg") else name] = (name, result)
    return found


def write_scores(results: Results, data: str, file: Path) -> None:
    """One row per tool; intervals at IoU 0.5 and 0.75."""
    rows = [("true masks, to flows and back", results[f"{data} | ceiling"])]
    rows += [(name + _by_length(result), result) for name, (_, result) in jobs_of(results, data).items()]
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["AP at IoU", *(f"{t:g}" for t in THRESHOLDS), "F1", "splits", "merges"])
        for name, result in rows:
            cells = [f"{v:.3f}" for v in pooled(result)]
            for i in AT:
                cells[i] += f" ({result['low'][i]:.3f} to {result['high'][i]:.3f})"
            writer.writerow([name, *cells, f"{result['f1']:.3f}", result["splits"], result["merges"]])


def _by_length(result: dict[str, Any]) -> str:
    """What marks a training whose minutes did not count."""
    return ", by epochs" if result.get("epochs_given") else ""


def write_differences(ours: Results, others: Results, groups: np.ndarray, file: Path) -> None:
    """How far each training of flows is above each other tool on the same images."""
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        seeds = [job.rpartition(", ")[2] for job in ours]
        writer.writerow(["flows minus", *(f"at IoU {THRESHOLDS[i]:g}, {seed}" for seed in seeds for i in AT)])
        for name, other in others.items():
            found = [difference(result, other, groups) for result in ours.values()]
            writer.writerow([name, *(say_difference(d, i) for d in found for i in AT)])


def draw_scores(results: Results, sets: list[str], file: Path) -> None:
    """Average precision against IoU, one panel per set."""
    n_rows = -(-len(sets) // COLUMNS)
    figure, axes = plt.subplots(
        n_rows,
        COLUMNS,
        squeeze=False,
        figsize=(4 * COLUMNS, 3 * n_rows + 1),
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for ax in axes.flat[len(sets) :]:
        ax.set_axis_off()
    lines: dict[str, Any] = {}
    for ax, data in zip(axes.flat, sets, strict=False):
        ceiling = pooled(results[f"{data} | ceiling"])
        (lines["true masks, to flows and back"],) = ax.plot(THRESHOLDS, ceiling, color="0.6", ls=":")
        seen = set()
        for name, result in jobs_of(results, data).values():
            (lines[name],) = ax.plot(THRESHOLDS, pooled(result), color=COLORS[name], marker="o", ms=3)
            if name not in seen:
                ax.fill_between(THRESHOLDS, result["low"], result["high"], color=COLORS[name], alpha=0.1, lw=0)
            seen.add(name)
        marked = all(_by_length(result) for _, result in jobs_of(results, data).values())
        ax.set(title=TITLES[data] + ", by epochs" * marked, ylim=(0, 1.02))
    for ax in axes[-1]:
        ax.set_xlabel("IoU")
    figure.supylabel("average precision, pooled")
    figure.legend(list(lines.values()), list(lines), ncols=2, loc="outside lower center")
    figure.savefig(file, dpi=110)
    plt.close(figure)


def write_minutes(results: Results, file: Path) -> None:
    """How well each tool does after a few minutes, and how fast it then predicts: all of one run on one machine."""
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        lengths = [f"planned for {minutes:g} minutes" for minutes in SHORT_MINUTES]
        writer.writerow(["AP at IoU 0.5 / 0.75 (minutes taken)", *lengths, "seconds per megapixel"])
        for tool, name in NAMES.items():
            keys = [f"dsb2018 | {tool} | seed 0 | {minutes:g} min" for minutes in SHORT_MINUTES]
            trained = [results[key] for key in keys if key in results]
            if len(trained) == len(keys):
                cells = [_precision_and_minutes(result) for result in trained]
                writer.writerow([name, *cells, f"{trained[-1]['seconds_per_megapixel']:.1f}"])


def _precision_and_minutes(result: dict[str, Any]) -> str:
    precision = " / ".join(f"{pooled(result)[i]:.3f}" for i in AT)
    return f"{precision} ({result['seconds'] / 60:.1f})"


def curve(results: Results) -> dict[str, dict[int, dict[str, Any]]]:
    """Results of the learning curve: by start, by number of images."""
    found: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in CURVES}
    for key, result in results.items():
        match = re.fullmatch(r"aitslab/nuclei \| flowseg ([\w:]+)@(\d+) \| seed 0 \| .*", key)
        if match:
            found[match[1]][int(match[2])] = result
    return found


def write_curve(results: Results, table: Path, picture: Path) -> None:
    """Average precision against the number of annotated images."""
    points = curve(results)
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), sharey=True, layout="constrained")
    with open(table, "w", newline="") as stream:
        writer = csv.writer(stream)
        numbers = sorted({n for kind in CURVES for n in points[kind]})
        writer.writerow(["AP at IoU 0.5 / 0.75, images:", *numbers])
        for kind, label in CURVES.items():
            reached = {n: pooled(points[kind][n]) for n in numbers if n in points[kind]}
            cells = {n: f"{p[AT_HALF]:.3f} / {p[AT_THREE_QUARTERS]:.3f}" for n, p in reached.items()}
            writer.writerow([label, *(cells.get(n, "") for n in numbers)])
            untrained = reached.pop(0, None)
            for ax, i in zip(axes, AT, strict=True):
                (line,) = ax.plot(list(reached), [p[i] for p in reached.values()], marker="o", ms=4, label=label)
                if untrained is not None:
                    ax.axhline(untrained[i], color=line.get_color(), ls=":", label="the nuclei model as it is")
                ax.set(title=f"IoU {THRESHOLDS[i]:g}", xlabel="annotated images", xscale="log")
                ax.set_xticks([n for n in numbers if n], [str(n) for n in numbers if n])
                ax.minorticks_off()
        groups = np.array(results["aitslab/nuclei | ceiling"]["groups"])
        scratch, started = (points[kind] for kind in CURVES)
        gains = {n: difference(started[n], scratch[n], groups) for n in numbers if n in scratch and n in started}
        for i in AT:
            cells = {n: say_difference(d, i) for n, d in gains.items()}
            writer.writerow([f"gain at IoU {THRESHOLDS[i]:g}", *(cells.get(n, "") for n in numbers)])
    axes[0].set_ylabel("average precision, pooled")
    axes[0].legend(fontsize=8)
    if len(numbers) > 1:
        figure.savefig(picture, dpi=110)
    plt.close(figure)


def main(results_file: str, docs: str) -> None:
    """Write what there are results for."""
    results: Results = json.loads(Path(results_file).read_text())
    tables, images = Path(docs) / "tables", Path(docs) / "images"
    tables.mkdir(exist_ok=True)
    sets = [key.removesuffix(" | ceiling") for key in results if key.endswith(" | ceiling")]
    sets = [data for data in sets if jobs_of(results, data)]
    for data in sets:
        name = data.replace("/", "_")
        write_scores(results, data, tables / f"scores_{name}.csv")
        jobs = {job: result for job, (_, result) in jobs_of(results, data).items()}
        diameters = results[f"{data} | ceiling"]["diameters"]
        if max(diameters) > 2 * min(diameters):
            write_sizes(jobs, diameters, AT, tables / f"sizes_{name}.csv")
        ours = {job: result for job, result in jobs.items() if job.startswith(OURS)}
        others = {job: result for job, result in jobs.items() if job not in ours}
        if OURS_FIRST in ours and others:
            groups = np.array(results[f"{data} | ceiling"]["groups"])
            write_differences(ours, others, groups, tables / f"differences_{name}.csv")
            write_ahead(ours[OURS_FIRST], others, AT, tables / f"ahead_{name}.csv")
    write_minutes(results, tables / "minutes.csv")
    draw_scores(results, sets, images / "comparison.png")
    if curve(results)["flow"]:
        write_curve(results, tables / "learning_curve.csv", images / "learning_curve.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
