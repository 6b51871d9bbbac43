"""Regions of ImageJ and CVAT: what is written to the letter, and the limits of what is read."""

import zipfile

import numpy as np
import pytest
import roifile

import flowseg
from flowseg import io
from flowseg.io import _cvat, _roi, _roi_shapes
from flowseg.io._entries import UnreadableEntryError
from flowseg.io._planes import Plane

MASKS = np.array([[0, 7, 7, 0, 0], [0, 7, 0, 3, 0], [0, 7, 7, 3, 7]])  # 3 is a column, 7 has two parts
KINDS = roifile.ROI_TYPE


def sizes(masks):
    return np.bincount(np.ravel(masks))[1:].tolist()


class TestRoi:
    def read(self, folder, *regions, shape=(24, 24), **chosen):
        roifile.roiwrite(folder / "a.zip", regions, mode="w")
        return flowseg.io.read_roi(folder / "a.zip", shape, **chosen)

    def test_written_files(self, tmp_path):
        io.write_roi(tmp_path / "a.ZIP", MASKS)
        three, seven = roifile.roiread(tmp_path / "a.ZIP")
        assert (three.name, three.roitype, three.composite) == ("0003", KINDS.TRACED, False)
        assert sorted(three.coordinates().tolist()) == [[3, 1], [3, 3], [4, 1], [4, 3]]
        assert (seven.name, seven.roitype, seven.composite) == ("0007", KINDS.RECT, True)
        assert (seven.left, seven.top, seven.right, seven.bottom) == (1, 0, 5, 3)
        assert seven.shape_roi_size == seven.multi_coordinates.size
        assert seven.n_coordinates == 0
        path = seven.multi_coordinates.tolist()
        assert path[0] == 0  # move, lines, close; twice
        commands, k = [], 0
        while k < len(path):
            commands.append(int(path[k]))
            k += 1 if path[k] == 4 else 3
        text = "".join(map(str, commands))
        assert text == "0" + "1" * (text.index("4") - 1) + "40" + "1" * 3 + "4"
        assert flowseg.io.read_roi(tmp_path / "a.ZIP", MASKS.shape).tolist() == [
            [0, 1, 1, 0, 0], [0, 1, 0, 2, 0], [0, 1, 1, 2, 1],
        ]  # fmt: skip

    def test_limits_of_archives(self, tmp_path, monkeypatch):
        io.write_roi(tmp_path / "a.zip", MASKS)
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            said = [part.file_size for part in archive.infolist()]
        monkeypatch.setattr(_roi, "MAX_BYTES", max(said))
        assert sizes(flowseg.io.read_roi(tmp_path / "a.zip", MASKS.shape)) == [6, 2]
        monkeypatch.setattr(_roi, "MAX_BYTES", max(said) - 1)
        with pytest.raises(ValueError, match=r"a\.zip must be a readable ImageJ ROI file; got: a region of "):
            flowseg.io.read_roi(tmp_path / "a.zip", MASKS.shape)
        monkeypatch.setattr(_roi, "MAX_RATIO", 0)
        for most in (sum(said), sum(said) - 1):
            monkeypatch.setattr(_roi, "MAX_BYTES", most)
            if most == sum(said):
                assert sizes(flowseg.io.read_roi(tmp_path / "a.zip", MASKS.shape)) == [6, 2]
            else:
                with pytest.raises(ValueError, match="regions that claim to be more than 0 times as large as the file"):
                    flowseg.io.read_roi(tmp_path / "a.zip", MASKS.shape)
        size = (tmp_path / "a.zip").stat().st_size
        monkeypatch.setattr(_roi, "MAX_RATIO", 2)
        monkeypatch.setattr(_roi, "MAX_BYTES", sum(said) - 2 * size)
        with pytest.raises(ValueError, match="got: a region of "):  # twice the file and so much is just enough
            flowseg.io.read_roi(tmp_path / "a.zip", MASKS.shape)

    def test_pipes_and_devices_are_not_opened(self, tmp_path, monkeypatch):
        io.write_roi(tmp_path / "a.zip", MASKS)
        asked = []
        monkeypatch.setattr(_roi, "check_regular", asked.append)
        flowseg.io.read_roi(tmp_path / "a.zip", MASKS.shape)
        assert asked == [tmp_path / "a.zip"]

    def test_only_mac_leftovers(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("__MACOSX/._a.roi", b"x")
        assert not flowseg.io.read_roi(tmp_path / "a.zip", (3, 3)).any()

    def test_planes(self, tmp_path):
        def planes(wanted, *regions):
            return _roi._planes(regions, wanted, tmp_path)

        assert planes(Plane(), (1, 0, 0, 0), (5, 0, 0, 0)) == [Plane(z=0), Plane(z=4)]
        assert planes(Plane(channel=0), (2, 0, 0, 0)) == [Plane(channel=1)]
        assert planes(Plane(z=3, t=4), (0, 0, 0, 0), (9, 1, 0, 2)) == [Plane(), Plane(0, None, 1)]
        assert planes(Plane(), (7, 0, 3, 0)) == [Plane(None, 2, None)]
        with pytest.raises(ValueError, match="z, t and channel must be one number"):
            planes(Plane(z=3, t=4), (9, 0, 0, 0))

    @pytest.mark.parametrize("arc", [0, 1, 2, 5, 8, 40])
    def test_rounded_rectangles(self, arc, tmp_path):
        """Row by row: a pixel is out where its center is beyond the quarter of an oval in its corner."""
        height, width = 12, 7
        roi = roifile.ImagejRoi(roitype=KINDS.RECT, left=3, top=4, right=3 + width, bottom=4 + height)
        roi.rounded_rect_arc_size = arc
        expected = np.zeros((24, 24), int)
        high, wide = min(arc, height) / 2, min(arc, width) / 2
        for row, column in np.ndindex(height, width):
            down, right = min(row + 0.5, height - row - 0.5), min(column + 0.5, width - column - 0.5)
            corner = down < high and right < wide
            out = corner and ((high - down) / high) ** 2 + ((wide - right) / wide) ** 2 > 1
            expected[4 + row, 3 + column] = not out
        assert np.array_equal(self.read(tmp_path, roi), expected)

    def test_boxes_without_pixels_or_too_large(self, tmp_path):
        for kind, name in ((KINDS.RECT, "a rectangle"), (KINDS.OVAL, "an oval")):
            for height, width in ((0, 5), (5, 0)):
                roi = roifile.ImagejRoi(roitype=kind, left=3, top=4, right=3 + width, bottom=4 + height)
                with pytest.raises(ValueError, match=f"got: {name} of {height} rows and {width} columns.$"):
                    self.read(tmp_path, roi)
            for size, good in ((65536.0, True), (65537.0, False)):
                roi = roifile.ImagejRoi(
                    roitype=kind, options=roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION, xd=-1.0, yd=2.0, widthd=size,
                    heightd=1.0,
                )  # fmt: skip
                if good:
                    assert np.argwhere(self.read(tmp_path, roi)).tolist() == [[2, column] for column in range(24)]
                else:
                    with pytest.raises(ValueError, match=f"got: {name} of 1 rows and 65537 columns.$"):
                        self.read(tmp_path, roi)
        for subtype, name in ((roifile.ROI_SUBTYPE.TEXT, "a text"), (roifile.ROI_SUBTYPE.IMAGE, "an image")):
            roi = roifile.ImagejRoi(roitype=KINDS.RECT, subtype=subtype, right=9, bottom=9)
            with pytest.raises(ValueError, match=f"got: a region that is {name}.$"):
                self.read(tmp_path, roi)
        for kind in (KINDS.POLYGON, KINDS.FREEHAND, KINDS.TRACED):
            roi = roifile.ImagejRoi.frompoints([[1, 1], [6, 1], [6, 4]])
            roi.roitype = kind
            assert sizes(self.read(tmp_path, roi)) in ([7], [8])
            roi = roifile.ImagejRoi.frompoints([[1, 1], [6, 1]])
            roi.roitype = kind
            with pytest.raises(ValueError, match="got: a region of fewer than three corners.$"):
                self.read(tmp_path, roi)

    def test_paths(self):
        square = [0, 1, 2, 1, 5, 2, 1, 5, 6, 1, 1, 6, 4]
        expected = [[2, 1], [2, 5], [6, 5], [6, 1]]
        assert [ring.tolist() for ring in _roi_shapes._composite_rings(square)] == [expected]
        two = [*square, 0, 9, 9, 1, 8, 8, 4, *square[:-1]]  # one has two corners only: no ring
        assert [ring.tolist() for ring in _roi_shapes._composite_rings(two)] == [expected, expected]
        for bad in ([1, 5, 2], [4], [0, 1], [0, 1, 2, 1, 5], [0, 1, 2, 2, 5, 5, 5], [0, 1, 2, 5], [0, 1, 2, -1],
                    [0, 1, 2, 3, 1, 1, 1, 1, 1], [0, 1, 2, np.nan], [np.inf]):  # fmt: skip
            with pytest.raises(UnreadableEntryError, match="a composite whose path is damaged"):
                _roi_shapes._composite_rings(bad)
        for empty in ([], [0, 1, 2], [0, 1, 2, 4], [0, 1, 2, 1, 5, 5, 4]):
            with pytest.raises(UnreadableEntryError, match="a composite without an area"):
                _roi_shapes._composite_rings(empty)

    @pytest.mark.parametrize("controls", [[(0, 0), (5, 9), (10, 0)], [(0, 0), (0, 8), (9, 8), (9, 1)],
                                          [(0, 0), (30, 0), (10, 0)], [(0, 0), (-7, -7), (2, 2)],
                                          [(3, 3), (4, 9), (-5, 2), (3, 3)]])  # fmt: skip
    def test_curves_are_as_exact_as_documented(self, controls):
        found = np.array([controls[0], *_roi_shapes._flatten(controls)], float)
        assert found[-1].tolist() == list(controls[-1])
        t, points = np.linspace(0, 1, 2001)[:, None, None], np.array(controls, float)[None]
        while points.shape[1] > 1:
            points = points[:, :-1] * (1 - t) + points[:, 1:] * t
        points = points[:, 0]
        start, step = found[:-1], np.diff(found, axis=0)
        along = ((points[:, None] - start) * step).sum(-1) / np.maximum((step**2).sum(-1), 1e-300)
        gaps = points[:, None] - start - np.clip(along, 0, 1)[..., None] * step
        assert np.hypot(*np.moveaxis(gaps, -1, 0)).min(axis=1).max() < _roi_shapes.FLATNESS
        assert 6 <= len(found) <= 65

    def test_lines_and_halvings(self, monkeypatch):
        assert _roi_shapes._flatten([(0, 0), (3, 4)]) == [(3, 4)]
        assert _roi_shapes._flatten([(0, 0), (2, 0.0099), (3, 0)]) == [(3, 0)]
        assert len(_roi_shapes._flatten([(0, 0), (2, 0.01), (3, 0)])) == 2  # not less than what a curve may deviate
        monkeypatch.setattr(_roi_shapes, "FLATNESS", 0.0)
        assert len(_roi_shapes._flatten([(0, 0), (5, 9), (10, 0)])) == 2**_roi_shapes.MAX_HALVINGS == 1024

    def test_distances(self):
        for point, distance in (((3, 4), 4), ((-3, 4), 5), ((13, 4), 5), ((10, 0), 0), ((5, -2), 2)):
            assert _roi_shapes._distance(point, (0, 0), (10, 0)) == distance
            assert _roi_shapes._distance(point[::-1], (0, 0), (0, 10)) == distance
            moved = (point[0] + 2, point[1] + 7)
            assert _roi_shapes._distance(moved, (2, 7), (12, 7)) == distance
        assert _roi_shapes._distance((3, 5), (0, 1), (0, 1)) == 5
        assert _roi_shapes._distance((0, 5), (0, 0), (5, 5)) == pytest.approx(12.5**0.5)


class TestCvat:
    def read(self, folder, shapes, size='width="12" height="10"'):
        text = shapes if shapes.startswith("<image") else f'<image name="a.png" {size}>{shapes}</image>'
        (folder / "a.xml").write_text(f"<annotations>{text}</annotations>")
        return flowseg.io.read_cvat(folder / "a.xml")

    def test_names(self, tmp_path):
        image = '<image name="{}"{} width="2" height="1"/>'.format
        train, test = ' subset="Train"', ' subset="Test"'
        for images, names in (
            ([image("a", train), image("b", test)], ["a", "b"]),
            ([image("a", train), image("a", ""), image("b", test)], ["Train/a", "a", "Test/b"]),
        ):
            assert list(self.read(tmp_path, "".join(images))) == names
        for images, name in (([image("a", train)] * 2, "Train/a"), ([image("a", "")] * 2, "a")):
            with pytest.raises(ValueError, match=f"got: several images named '{name}'.$"):
                self.read(tmp_path, "".join([*images, image("b", "")]))

    def test_all_images_together_must_fit(self, tmp_path, monkeypatch):
        asked = []
        monkeypatch.setattr(_cvat, "check_canvases", asked.append)
        self.read(tmp_path, '<image name="a" width="2" height="1"/><image name="b" width="3" height="4"/>')
        assert asked == [[(1, 2), (4, 3)]]

    def test_files_that_are_no_export(self, tmp_path):
        for text, words in (
            ("<annotations/>", "no images"), ('<other><image name="a" width="2" height="1"/></other>', "no images"),
            ("<other><track/></other>", "no images"), ("<annotations><track/></annotations>", "tracks of a video"),
        ):  # fmt: skip
            (tmp_path / "a.xml").write_text(text)
            with pytest.raises(ValueError, match=rf"a\.xml must be a readable CVAT export .*; got: {words}"):
                flowseg.io.read_cvat(tmp_path / "a.xml")
        both = '<image name="a" width="2" height="1"/><track/>'
        assert list(self.read(tmp_path, both)) == ["a"]

    def test_polygons(self, tmp_path):
        assert sizes(self.read(tmp_path, '<polygon points="1,1;5,1;5,4;1,4; "/>')["a.png"]) == [12]
        assert sizes(self.read(tmp_path, '<polygon points="1,1;7,1;7,7"/>')["a.png"]) in ([15], [21])
        for points in ("1,1;5,1", "1,1,1;5,1,1;5,4,1", "1;5;5", ""):
            with pytest.raises(ValueError, match="got: a polygon that is not three or more corners x, y"):
                self.read(tmp_path, f'<polygon points="{points}"/>')

    def test_tags_and_other_labels(self, tmp_path):
        box = '<box label="a" xtl="1" ytl="1" xbr="4" ybr="4"/>'
        assert sizes(self.read(tmp_path, f'<tag label="b"/>{box}')["a.png"]) == [9]
        self.read(tmp_path, box.replace('"a"', '"b"') + box.replace("4", "5"))
        with pytest.warns(UserWarning, match="1 of 2 entries .* a shape of another label"):
            assert sizes(flowseg.io.read_cvat(tmp_path / "a.xml", classes="a")["a.png"]) == [16]

    def test_shapes_that_are_not_rotated(self, tmp_path):
        for name, said in (
            ("ellipse", 'cx="100" cy="6" rx="100" ry="4"'),
            ("box", 'xtl="0" ytl="2" xbr="200" ybr="9"'),
        ):
            shapes = (f"<{name} {said}/>", f'<{name} {said} rotation="0"/>', f'<{name} {said} rotation="1"/>')
            upright, same, turned = (self.read(tmp_path, one, 'width="200" height="12"')["a.png"] for one in shapes)
            assert np.array_equal(upright, same)
            assert not np.array_equal(upright, turned)

    def test_masks(self, tmp_path):
        said = '<mask rle="{}" top="{}" left="{}" height="{}" width="{}"/>'
        whole = self.read(tmp_path, said.format("0,120", 0, 0, 10, 12))["a.png"]
        assert whole.all()
        found = self.read(tmp_path, said.format("1, 3, 1, 1, ", 8, 9, 2, 3))["a.png"]
        assert found[8:, 9:].tolist() == [[0, 1, 1], [1, 0, 1]]
        assert found.sum() == 4
        (found,) = self.read(tmp_path, said.format("0,1", 4, 5, 1, 1)).values()
        assert np.argwhere(found).tolist() == [[4, 5]]
        for box, words in (
            ((9, 9, 2, 3), "rows 9 to 11 and columns 9 to 12"), ((8, 10, 2, 3), "rows 8 to 10 and columns 10 to 13"),
            ((8, -1, 2, 3), "rows 8 to 10 and columns -1 to 2"), ((-1, 9, 2, 3), "rows -1 to 1 and columns 9 to 12"),
            ((8, 9, 0, 3), "rows 8 to 8"), ((8, 9, 2, 0), "columns 9 to 9"),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=rf"got: a mask in .*{words}.* of \(10, 12\)"):
                self.read(tmp_path, said.format("1,3,1,1", *box))
        for runs, total in (("1,3,1", 5), ("1,3,1,2", 7), ("1,-1,6", 6)):
            with pytest.raises(ValueError, match=f"got: a mask of 6 pixels with runs that sum up to {total}.$"):
                self.read(tmp_path, said.format(runs, 8, 9, 2, 3))

    @pytest.mark.parametrize("turn", [0, 30, 90, 200])
    @pytest.mark.parametrize("place", [(6, 5), (0.5, 0.5), (11.5, 9.5), (-1, 4), (4, 11)])
    def test_ellipses_that_leave_the_image(self, place, turn, tmp_path):
        (cx, cy), (rx, ry) = place, (4.3, 2.2)
        found = self.read(tmp_path, f'<ellipse cx="{cx}" cy="{cy}" rx="{rx}" ry="{ry}" rotation="{turn}"/>')["a.png"]
        down, right = np.mgrid[:10, :12] + 0.5 - np.array([cy, cx])[:, None, None]
        cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        along, across = right * cosine + down * sine, down * cosine - right * sine
        assert np.array_equal(found, (along / rx) ** 2 + (across / ry) ** 2 <= 1)

    @pytest.mark.parametrize("said", ['rx="0" ry="2"', 'rx="2" ry="0"', 'rx="2" ry="-2"', 'rx="nan" ry="2"'])
    def test_ellipses_that_are_none(self, said, tmp_path):
        with pytest.raises(
            ValueError, match="got: (an ellipse whose axes are not above 0|a shape whose rx is not finite).$"
        ):
            self.read(tmp_path, f'<ellipse cx="6" cy="5" {said}/>')
