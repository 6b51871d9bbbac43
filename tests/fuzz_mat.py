"""Damage MATLAB files and read them: none may end Python, and whatever is wrong is said in a sentence.

python tests/fuzz_mat.py [N [SEED]]
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.io import savemat

import flowseg

LABELS = np.arange(600).reshape(20, 30) % 7


def originals(folder):
    """Files of every version, compressed or not, with other arrays beside the labels."""
    others = {"type_map": np.eye(5), "names": np.array(["a", "bc"], dtype=object), "s": {"a": 1, "b": "text"}, "t": "x"}
    for k, (dtype, version, compressed) in enumerate(
        [("i4", "5", False), ("i4", "5", True), ("f8", "5", False), ("f8", "5", True), ("u2", "4", False)]
    ):
        file = folder / f"{k}.mat"
        content = {"inst_map": LABELS.astype(dtype)} | ({} if version == "4" else others)
        savemat(file, content, format=version, do_compression=compressed)
        yield file.read_bytes()


def damage(rng, content):
    """A copy with a few bytes changed, most of them where the file says what it is made of, or cut short."""
    raw = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        near = rng.random() < 0.6
        place = int(rng.integers(0, min(400, len(raw)) if near else len(raw)))
        raw[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
    return bytes(raw[: rng.integers(1, len(raw))]) if rng.random() < 0.05 else bytes(raw)


def main(n=5000, seed=0):
    rng, count = np.random.default_rng(seed), Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contents = list(originals(folder))
        for k in range(n):
            (folder / "a.mat").write_bytes(damage(rng, contents[k % len(contents)]))
            try:
                flowseg.io.read_mat(folder / "a.mat")
                count["read"] += 1
            except (ValueError, TypeError, MemoryError) as error:
                if "a.mat" not in str(error):
                    raise
                count["refused"] += 1
    print(f"{n} damaged files: {count['read']} read, {count['refused']} refused")  # noqa: T201
    return count


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
