"""What `check_masks` reports."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One fault of a label image, or a note on it.

    Attributes
    ----------
    kind : str
        The kind of fault, see `check_masks`.
    message : str
        One sentence.
    labels : tuple of int
        Labels of the objects concerned; empty if the finding is about the whole image.
    wrong : bool
        False for a note, which is no fault.
    """

    kind: str
    message: str
    labels: tuple[int, ...] = ()
    wrong: bool = True


@dataclass(frozen=True)
class MasksReport:
    """Findings of `check_masks`.

    Attributes
    ----------
    n_objects : int
        Number of labels above 0; 0 if the array is no label image at all.
    findings : tuple of Finding
        The most important first.
    """

    n_objects: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.wrong for finding in self.findings)

    def __str__(self) -> str:
        lines = [f"{self.n_objects} objects"]
        lines += [f"{'wrong' if f.wrong else 'note'}: {f.kind}: {f.message}" for f in self.findings]
        return "\n".join(lines)
