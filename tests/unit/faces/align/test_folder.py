"""A folder of photographs: names, notes, the same bytes for any threads, what goes on after a stop, what is refused."""
import json
import os
import pathlib

import cv2
import numpy as np
import pytest

from mxft.errors import InputError, RunError
from mxft.faces.align import folder as module
from mxft.faces.align.detection import Detections
from mxft.faces.align.folder import align_folder
from mxft.faces.align.landmark_list import ListedFaces, read_landmark_list
from mxft.faces.align.options import AlignOptions
from mxft.faces.align.similarity import REFERENCE


class Finder:
    """Sees so many faces as the picture's first pixel says; counts what it has looked at."""

    settings = {"detector": "made"}

    def __init__(self):
        self.looked = 0

    def __call__(self, image):
        self.looked += 1
        count = int(image[0, 0, 0]) // 50
        if not count:
            return Detections.none()
        points = np.stack([REFERENCE / 4 + 3 * i for i in range(count)])
        boxes = np.array([[3 * i, 3 * i, 3 * i + 20 + i, 3 * i + 20 + i] for i in range(count)], float)
        return Detections(boxes, np.full(count, 0.99), points)


def picture(path, faces, seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    image[0] = 50 * faces
    image[-1] = 0
    image[:, 0] = image[:, -1] = 0
    image[0, 0] = 50 * faces
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture
def photos(here):
    for number in range(6):
        picture(here / "photos" / "ann" / f"{number}.png", 1, number)
    picture(here / "photos" / "bob" / "album" / "two.png", 2)
    picture(here / "photos" / "bob" / "none.png", 0)
    (here / "photos" / "bob" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    return here


def align(out="aligned", finder=None, force=False, threads=2, **options):
    options = AlignOptions(size=(32, 32), **options)
    return align_folder("photos", out, finder or Finder(), options, threads, force, False)


def files_of(folder):
    return {os.path.relpath(os.path.join(place, name), folder): pathlib.Path(place, name).read_bytes()
            for place, _, names in os.walk(folder) for name in names}


def lines_of(path):
    return pathlib.Path(path).read_text().splitlines()


def test_what_is_written_and_said(photos):
    result = align()
    assert str(result).splitlines()[0].startswith("aligned 7 faces of 9 pictures into aligned (32 x 32, ")
    assert str(result).splitlines()[1] == ("1 without a face, 1 that cannot be read, 1 with several faces: listed in "
                                           "aligned/notes.tsv")
    assert sorted(files_of("aligned")) == sorted(
        [f"ann/{n}.jpg" for n in range(6)] + ["bob/album/two.jpg", "aligned.jsonl", "notes.tsv"])
    assert lines_of("aligned/notes.tsv") == [
        "path\tnote", "bob/cut.jpg\ttruncated JPEG: it ends before the image data", "bob/none.png\tno face found",
        "bob/album/two.png\t2 faces (21, 20 pixels), the largest was taken"]
    rows = [json.loads(line) for line in lines_of("aligned/aligned.jsonl")][1:]
    assert rows[0]["faces"][0]["landmarks"] == (REFERENCE / 4).round(2).tolist() and rows[0]["path"] == "ann/0.png"


def test_the_same_bytes_for_any_number_of_threads(photos):
    align("one", threads=1)
    align("many", threads=5)
    assert files_of("one") == files_of("many")


def test_all_faces_and_names_that_would_be_one(photos):
    picture(photos / "photos" / "ann" / "0.bmp", 3)
    align(every=True)
    assert sorted(name for name in files_of("aligned/ann") if name.startswith("0")) == [
        "0.bmp-2.jpg", "0.bmp-3.jpg", "0.bmp.jpg", "0.png.jpg"]


def test_no_crop_has_the_name_of_another(photos):
    """``a.jpg.png`` beside ``a.jpg`` and ``a.png``; ``p-2`` beside the second face of ``p``; a folder called x.jpg."""
    for name in ("a.bmp", "a.png", "a.bmp.png", "p-2.png", "p-2.bmp-2.png", "x.png", "x.jpg/1.png"):
        picture(photos / "names" / name, 1)
    picture(photos / "names" / "p.png", 3)
    for every in (False, True):
        align_folder("names", f"out{every}", Finder(), AlignOptions(size=(32, 32), every=every), 2, show=False)
        rows = [json.loads(line) for line in lines_of(f"out{every}/aligned.jsonl")][1:]
        files = [face["file"] for row in rows for face in row["faces"]]
        assert len(set(files)) == len(files) == (10 if every else 8)
        assert sorted(files) == sorted(name for name in files_of(f"out{every}") if name.endswith(".jpg"))


def test_a_picture_that_comes_later_gives_what_one_call_would_have(photos):
    """``two-2.png`` has a crop that is the second face of ``two.png`` when that comes."""
    (photos / "photos" / "bob" / "album" / "two.png").rename(photos / "later.png")
    picture(photos / "photos" / "bob" / "album" / "two-2.png", 1, 9)
    align("first", every=True)
    (photos / "later.png").rename(photos / "photos" / "bob" / "album" / "two.png")
    align("first", every=True)
    align("whole", every=True)
    first, whole = ({name: data for name, data in files_of(out).items() if name.endswith(".jpg")}
                    for out in ("first", "whole"))
    assert first == whole


def test_the_crops_of_a_picture_that_changed_go(photos):
    align(every=True)
    assert "bob/album/two-2.jpg" in files_of("aligned")
    picture(photos / "photos" / "bob" / "album" / "two.png", 1, 5)
    os.utime(photos / "photos" / "bob" / "album" / "two.png", (1, 1))
    align(every=True)
    assert "bob/album/two-2.jpg" not in files_of("aligned") and "bob/album/two.jpg" in files_of("aligned")


def test_a_journal_cut_before_its_first_line_is_none(photos):
    (photos / "aligned").mkdir()
    (photos / "aligned" / "aligned.jsonl").write_text('{"detec')
    assert align().faces == 7


def test_two_calls_at_once_are_refused(photos):
    class Second(Finder):
        def __call__(self, image):
            with pytest.raises(InputError, match="expected one call at a time, received .*aligned, which another"):
                align(finder=Finder())
            return super().__call__(image)

    assert align(finder=Second(), threads=1).faces == 7
    assert align().done_before == 8


def test_a_name_of_two_lines_is_one_row_of_the_notes(photos):
    (photos / "photos" / "a\n\tb.jpg").write_bytes(b"cut")
    assert len(lines_of(align().notes_path)) == 5 and "a\\n\\tb.jpg\t" in pathlib.Path("aligned/notes.tsv").read_text()


def test_a_picture_that_may_not_be_read_is_one_of_many(photos, monkeypatch):
    real = module.read_image

    def read_image(path):
        if path.endswith("3.png"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(module, "read_image", read_image)
    result = align()
    assert result.unreadable == 2 and "ann/3.png\tpermission denied" in lines_of(result.notes_path)


def test_a_second_call_looks_at_what_is_new_only(photos):
    align()
    before = files_of("aligned")
    again = Finder()
    assert align(finder=again).done_before == 8 and again.looked == 0  # the damaged one is tried again
    assert files_of("aligned") == before
    picture(photos / "photos" / "ann" / "6.png", 1, 6)
    picture(photos / "photos" / "ann" / "5.png", 2, 7)
    os.remove("aligned/ann/0.jpg")
    result = align(finder=again)
    assert again.looked == 3 and (result.faces, result.several) == (8, 2)


def test_a_run_that_was_stopped_goes_on_to_the_same_files(photos, monkeypatch):
    align("whole")
    write, written = module._write, []

    def stop(folder, name, faces, options):
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        written.append(name)
        return write(folder, name, faces, options)

    with monkeypatch.context() as patched, pytest.raises(
            RunError, match="aligning stopped: expected room in aligned, received no space left on device; what is "
                            "there is whole"):
        patched.setattr(module, "_write", stop)
        align()
    with open("aligned/aligned.jsonl", "ab") as f:
        f.write(b'{"path": "ann/4.png", "bytes"')                                      # a line a crash cut short
    finder = Finder()
    assert align(finder=finder).done_before == 4 and files_of("aligned") == files_of("whole")


def test_a_journal_that_was_altered_is_not_trusted(photos):
    align()
    with open("outside.jpg", "wb") as f:
        f.write(b"mine")
    lines = lines_of("aligned/aligned.jsonl")
    row = json.loads(lines[1])
    row["faces"][0]["file"] = "../outside.jpg"
    with open("aligned/aligned.jsonl", "w") as f:
        f.write("\n".join([lines[0], json.dumps(row), '{"path": 5}', "[]"]) + "\n")
    align(force=True)
    assert os.path.exists("outside.jpg") and len(files_of("aligned")) == 9


def test_other_settings_are_refused_or_begin_anew(photos):
    align()
    with pytest.raises(InputError, match=r"faces were aligned with other settings there: .* with margin=0.0 and not "
                                         r"0.5; choose another folder, or replace it with .?force"):
        align(margin=0.5)
    align(force=True, margin=0.5, encoding=".png")
    assert "ann/0.png" in files_of("aligned") and "ann/0.jpg" not in files_of("aligned")


def test_folders_that_are_refused(photos):
    os.mkdir("taken")
    open("taken/letter.txt", "w").close()
    with pytest.raises(InputError, match="folder is taken: .* received taken with 1 entries and no aligned.jsonl"):
        align("taken")
    align("taken", force=True)
    assert os.path.exists("taken/letter.txt")
    with pytest.raises(InputError, match="cannot align a folder into itself"):
        align("photos/aligned")
    with pytest.raises(InputError, match="no pictures in empty"):
        os.mkdir("empty")
        align_folder("empty", "out", Finder(), AlignOptions())


def test_no_face_anywhere_is_an_error_that_names_the_list(photos):
    with pytest.raises(RunError, match="no face was aligned: .* 1 without a face and 1 that cannot be read; "
                                       "out/notes.tsv lists them; the first is .*: "):
        for name in [*(f"ann/{n}.png" for n in range(6)), "bob/album/two.png"]:
            os.remove(f"photos/{name}")
        align("out")


def test_landmarks_of_a_list_need_no_detector(photos):
    points = " ".join(f"{value:.6f}" for value in np.ravel(REFERENCE / 4))
    with open("list.txt", "w") as f:
        f.write(f"ann/0.png 0 {points}\n/elsewhere/cy/9.png 1 {points}\n")
    faces = ListedFaces(read_landmark_list("list.txt")[0], "photos", digest="d")
    result = align_folder("photos", "out", faces, AlignOptions(size=(32, 32)))
    assert (result.faces, result.unreadable) == (1, 1)
    align("plain")
    assert files_of("out")["ann/0.jpg"] == files_of("plain")["ann/0.jpg"]
