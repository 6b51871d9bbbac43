"""MATLAB files: read as SciPy reads them, and damaged ones refused: no change of a byte ends Python."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

import flowseg
from flowseg._system.invalid_file import StoredFile
from flowseg.io._mat import read_matrices

FUZZ = Path(__file__).with_name("fuzz_mat.py")


@pytest.mark.parametrize("version", ["5", "4"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"])
def test_arrays_are_those_that_scipy_reads(dtype, version, tmp_path):
    rng, file = np.random.default_rng(0), tmp_path / "a.mat"
    if version == "4" and dtype in ("u4", "i1", "i8", "u8", "?"):
        pytest.skip("version 4 has no such type")
    for shape in ((3, 4), (1, 1), (5, 6, 2), (0, 0), (300, 200))[:: 1 if version == "5" else 2]:
        if version == "4" and len(shape) > 2:
            continue
        array = rng.integers(0, 100, shape).astype(dtype)
        others = {"s": {"q": 1}, "c": np.array([1, "a"], object), "t": "text"} if version == "5" else {}
        for compressed in (False, True)[: 2 if version == "5" else 1]:
            savemat(file, {"x": array, "inst_map": array} | others, format=version, do_compression=compressed)
            right, found = loadmat(file), {one.name: one for one in read_matrices(StoredFile(file, "MATLAB file"))}
            assert set(found) == {"x", "inst_map", *others}
            for name in ("x", "inst_map"):
                read = found[name].read()
                assert np.array_equal(read, right[name])
                assert read.shape == right[name].shape
                assert read.dtype == right[name].dtype
            for name in others:
                with pytest.raises(ValueError, match=f"{name}, which is no array of real numbers but a "):
                    found[name].read()


def test_byte_order_and_small_elements(tmp_path):
    file = tmp_path / "a.mat"
    array = np.array([[1, 2], [3, 70000]], dtype=">i4")
    body = b"\0\0\0\x06\0\0\0\x08\0\0\0\x0c\0\0\0\0" + b"\0\0\0\x05\0\0\0\x08\0\0\0\x02\0\0\0\x02"
    name = b"\0\x03\0\x01" + b"key\0"  # length, type and content in eight bytes
    body += name + b"\0\0\0\x05\0\0\0\x10" + array.tobytes(order="F")
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    file.write_bytes(header + b"\0\0\0\x0e" + len(body).to_bytes(4, "big") + body)
    assert np.array_equal(loadmat(file)["key"], array)
    assert np.array_equal(flowseg.io.read_mat(file, key="key"), array)


def test_other_files(tmp_path):
    file = tmp_path / "a.mat"
    for content, words in ((b"\x89HDF\r\n\x1a\n", "version 7.3"), (b"MATLAB 7.3".ljust(512) + b"\x89HDF\r\n\x1a\n", "7.3"),
                           (b"text", "cut short"), (b"x" * 200, "does not begin as a MATLAB file")):  # fmt: skip
        file.write_bytes(content)
        with pytest.raises(
            ValueError, match=rf"a\.mat must be a readable MATLAB file \(version 7 or lower\); got: .*{words}"
        ):
            flowseg.io.read_mat(file)
    savemat(file, {"inst_map": np.array([[1 + 2j]])})
    with pytest.raises(ValueError, match="complex array"):
        flowseg.io.read_mat(file)
    savemat(file, {"inst_map": np.array([[1]])})
    content = file.read_bytes()
    file.write_bytes(content + content[128:])
    with pytest.raises(ValueError, match="must hold one array named 'inst_map'; it holds 2"):
        flowseg.io.read_mat(file)


def test_damage_never_ends_python():
    done = subprocess.run([sys.executable, FUZZ, "2000"], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.startswith("2000 damaged files: ")
