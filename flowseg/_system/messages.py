"""Messages of the library: to the log "flowseg" and, on request, to standard error."""

from __future__ import annotations

import logging
import sys

from tqdm import tqdm

from flowseg._system.printable import shown

LOG = logging.getLogger("flowseg")


def say(line: str, *, aloud: bool) -> None:
    """Log a line as information; with ``aloud`` also write it to standard error, above a progress bar."""
    LOG.info("%s", line)
    if aloud:
        tqdm.write(shown(line), file=sys.stderr)
