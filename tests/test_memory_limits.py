"""What a file may ask for: the least of what the machine, its control groups and the process's limits leave."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import flowseg
from flowseg._image_files.codec_sizes import coded_shape
from flowseg._system import memory


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups of both versions, each without a limit."""
    (tmp_path / "proc").write_text("9:name=systemd:/\n4:cpu,memory:/a/b\n0::/c/d\n")
    for place in ("v1/a/b", "v2/c/d"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "v2" / "c" / "d" / "memory.max").write_text("max\n")
    (tmp_path / "v1" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    names = {False: (tmp_path / "v2", "memory.max"), True: (tmp_path / "v1", "memory.limit_in_bytes")}
    monkeypatch.setattr(memory, "GROUPS", names)
    monkeypatch.setattr(memory, "GROUP_OF_PROCESS", tmp_path / "proc")
    monkeypatch.setattr(memory, "_limits", list)
    monkeypatch.setattr(memory, "_machine", lambda: [4 << 30])
    return tmp_path


def test_the_least_limit_counts(groups):
    assert memory.allowed() == 3 << 30
    (groups / "v1" / "a" / "memory.limit_in_bytes").write_text(f"{2 << 30}\n")
    assert memory.allowed() == 3 << 29
    (groups / "v2" / "c" / "memory.max").write_text(f"{1 << 30}\n")
    assert memory.allowed() == 3 << 28
    memory.check(3 << 28, "it")
    with pytest.raises(
        MemoryError, match=r"^the image must fit into memory; it takes about 806 MB, this process may use 806 MB\.$"
    ):
        memory.check((3 << 28) + 1, "it")


def test_limits_of_the_shell_count():
    pytest.importorskip("resource")
    code = (
        "import resource; from flowseg._system import memory; before = memory.allowed()\n"
        "resource.setrlimit(resource.RLIMIT_{}, (2**31, 2**31)); print(before, memory.allowed())"
    )
    for name in ("AS", "DATA") if sys.platform == "linux" else ("AS",):
        done = subprocess.run([sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True)
        before, after = map(int, done.stdout.split())
        assert 0 < after <= min(before, 0.75 * 2**31)


def test_unknown_limits_do_not_count(monkeypatch):
    for name in ("_machine", "_groups", "_limits"):
        monkeypatch.setattr(memory, name, list)
    assert memory.allowed() is None
    memory.check(10**30, "it")


def test_memory_errors_name_their_file(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(tmp_path / "a.png")
    square = [[[0, 0], [2, 0], [2, 2], [0, 2]]]
    (tmp_path / "a.json").write_text(json.dumps({"type": "Polygon", "coordinates": square}))

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("flowseg._image_files.png_jpeg_bmp._decode", fail)
    monkeypatch.setattr("flowseg._labels.canvas.Canvas.paint", fail)
    for read, name in (
        (flowseg.io.read_image, "a.png"),
        (lambda file: flowseg.io.read_geojson(file, (9, 9)), "a.json"),
    ):
        with pytest.raises(MemoryError, match=rf"{name} must fit into memory; it does not\.$"):
            read(tmp_path / name)


def test_objects_cost_their_own_pixels():
    import tracemalloc

    from flowseg._labels.canvas import Canvas

    canvas = Canvas((3000, 3000))
    tracemalloc.start()
    for _ in range(100):
        canvas.add_polygons([[np.array([[0, 0], [0, 3000], [3000, 3000], [3000, 0]])]])
    masks = canvas.paint()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert masks.shape == (3000, 3000)
    assert np.all(masks == 1)
    assert peak < 150e6  # the masks take 36 MB; eight bytes for each pixel of each object would be 7.2 GB


def test_sizes_of_coded_pictures():
    import imagecodecs

    picture = np.random.default_rng(0).integers(0, 255, (50, 70, 3)).astype(np.uint8)
    for code in ("jpeg", "png", "jpeg2k", "webp", "jpegxl", "jpegxr", "lerc"):
        encode = getattr(imagecodecs, f"{code}_encode")
        for array in (picture, picture[:, :64], picture[:48, :64], np.zeros((2000, 300, 3), np.uint8)):
            assert coded_shape(encode(np.ascontiguousarray(array))[:4096]) == array.shape[:2], code
    for damaged in (b"", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\x89PNG", b"RIFF", b"\xff\x0a", b"II\xbc\x01", b"Lerc2 "):
        assert coded_shape(damaged) is None
