"""The error of a damaged or wrong file, and a file that is read, which such errors name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flowseg._system import memory
from flowseg._system.printable import one_line

T = TypeVar("T")

# Errors of the system that do not concern the content of a file: they are raised unchanged.
SYSTEM_ERRORS = frozenset(
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EIO", "EMFILE", "ENFILE", "ESTALE", "ETIMEDOUT")
    if hasattr(errno, name)
)


class InvalidFileError(ValueError):
    """A file is damaged, incomplete, or holds something else than expected.

    All readers of `flowseg.io` and `flowseg.load_segmenter` raise it. The message names the file, what was expected and
    what was found. A file that cannot be opened raises an OSError instead, content that is too large a MemoryError.

    Examples
    --------
    >>> from pathlib import Path
    >>> from flowseg import io
    >>> Path("cells.png").touch()
    >>> io.read_image("cells.png")
    Traceback (most recent call last):
    ...
    flowseg.io.InvalidFileError: cells.png must be a PNG file to match its name; it is empty.
    """

    __module__ = "flowseg.io"  # where users find it


@dataclass(frozen=True)
class StoredFile:
    """A file that is read.

    Parameters
    ----------
    path : Path
        Where it is.
    kind : str
        The kind that it must have, such as "GeoJSON file".
    """

    path: Path
    kind: str

    def invalid(self, found: str) -> InvalidFileError:
        """Return the error of a file that holds ``found`` instead."""
        return InvalidFileError(f"{self.path} must be a readable {self.kind}; got: {found.rstrip('.')}.")

    def read_bytes(self) -> bytes:
        """Return all of the file."""
        check_regular(self.path)
        memory.check(self.path.stat().st_size, path=self.path)
        return self.path.read_bytes()

    @contextmanager
    def parsing(self, *errors: type[Exception]) -> Iterator[None]:
        """Translate exceptions of a library that parses the file; only calls of that library belong in the block.

        By default every exception counts, as libraries raise anything when a file is damaged.
        """
        kinds = errors or (Exception,)
        try:
            yield
        except (InvalidFileError, memory.NeedsMemoryError):
            raise
        except MemoryError as error:
            raise memory.named(self.path, error) from error
        except kinds as error:
            if isinstance(error, OSError) and error.errno in SYSTEM_ERRORS:
                raise
            raise self.invalid(one_line(str(error)) or type(error).__name__) from error

    def parsing_each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items of a library's iterator; `parsing` translates exceptions between them."""
        iterator = iter(items)
        while True:
            with self.parsing():
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item


def check_regular(path: Path) -> None:
    """Refuse something else than a file: opening a named pipe may take for ever, and a device may have no end."""
    kind = find_irregular_kind(path)
    if kind:
        raise InvalidFileError(f"{path} must be a file; it is {kind}.")


def find_irregular_kind(path: Path) -> str | None:
    """Return the kind of a thing at a path that is no file, such as "a named pipe"; None for files and free paths."""
    if not os.path.exists(path) or os.path.isfile(path):
        return None
    if path.is_dir():
        return "a folder"
    kinds = ((path.is_fifo, "a named pipe"), (path.is_socket, "a socket"), (path.is_char_device, "a device"))
    return next((kind for is_kind, kind in (*kinds, (path.is_block_device, "a device")) if is_kind()), "something else")
