"""The answer of a comparison in words."""

from __future__ import annotations

from flowseg._compare.differences import Difference, Estimates

# Groups from which an interval says something. Of five, all could be won by chance: 2 * 0.5**5 is above 5 %, the share
# that a 95 % interval leaves; of six it is below.
FEWEST_GROUPS = 6
# Differences in average precision that are too small to matter: about those between two seeds of the same training.
EQUAL = 0.02
# The largest multiple of the groups that is worth a proposal.
MOST_TIMES = 50
# Pairs of segmenters that are compared in words; the table has all.
MOST_PAIRS = 3


def answer(names: list[str], found: Estimates, n_groups: int) -> str:
    """Return the answer in one sentence."""
    if n_groups < FEWEST_GROUPS:
        return (
            f"The data are too few to know: {n_groups} independent images or fields of view, and an answer takes at "
            f"least {FEWEST_GROUPS}."
        )
    if not found.pairs:
        low, high = found.intervals[0, 0]
        return f"Average precision with {names[0]} is {found.precision[0, 0]:.2f}, {low:.2f} to {high:.2f}."
    return compare_two(found.pairs[0])


def compare_two(pair: Difference) -> str:
    """Return in one sentence which of two segmenters is better, if the images tell."""
    low, high = pair.interval[0]
    if is_clear(pair):
        n_images = pair.wins + pair.losses + pair.ties
        return (
            f"Average precision is higher with {pair.first} than with {pair.second} on {pair.wins} of {n_images} "
            f"images; over all objects, the difference is {_range(pair)}."
        )
    if max(-low, high) <= EQUAL:
        return (
            f"{pair.first} and {pair.second} are equally good: the difference in average precision is {_range(pair)}."
        )
    return (
        f"The data are too few to tell {pair.first} and {pair.second} apart: the difference in average precision is "
        f"{_range(pair)}."
    )


def is_clear(pair: Difference) -> bool:
    """Return whether the interval at the first IoU lies on one side of 0."""
    low, high = pair.interval[0]
    return bool(low > 0 or high < 0)


def remarks(found: Estimates, n_groups: int, n_steps: dict[str, int], used: list[str]) -> list[str]:
    """Return what a reader has to know beside the answer; ``used`` are the segmenters that were used as they are."""
    lines = [
        "Average precision is TP / (TP + FP + FN) over all objects of the test images; the answer is for IoU 0.5.",
        "Intervals (95 %) are from a bootstrap over independent images or fields of view. They leave out that another "
        "seed gives another training.",
    ]
    if found.pairs and not is_clear(found.pairs[0]):
        lines += _propose(found.pairs[0], n_groups)
    if n_groups >= FEWEST_GROUPS:
        lines = [compare_two(pair) for pair in found.pairs[1:MOST_PAIRS]] + lines
    if len(set(n_steps.values())) > 1:
        lines.append(
            f"The segmenters were trained for different numbers of steps ({_list(n_steps)}), which may be the "
            "reason of a difference."
        )
    if used:
        lines.append(
            f"{' and '.join(used)} {'were' if len(used) > 1 else 'was'} used without training. If these images were "
            "in the training set, the score is too high."
        )
    return lines


def _propose(pair: Difference, n_groups: int) -> list[str]:
    """Return how many groups would do if the difference stays, as the width of an interval shrinks with their root."""
    low, high = pair.interval[0]
    difference = pair.difference[0]
    if difference <= 0 or (times := ((high - low) / 2 / difference) ** 2) > MOST_TIMES:
        return ["More images of the same kind would hardly show a difference."]
    n_needed = max(round(times * n_groups), FEWEST_GROUPS, n_groups + 1)
    return [f"If the difference stays as it is, about {n_needed} independent images or fields of view would show it."]


def _list(n_steps: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in n_steps.items())


def _range(pair: Difference) -> str:
    low, high = pair.interval[0]
    return f"{pair.difference[0]:z.2f}, {low:z.2f} to {high:z.2f}"  # z: no minus before 0.00
