"""MegaFace's feature files: byte for byte upstream's layout, its names, and its way with noises."""
import os
import struct

import cv2
import numpy as np
import pytest

from mxft.errors import InputError, RunError
from mxft.faces.evaluation.embedding import embed_images, embedding_executor
from mxft.faces.evaluation.megaface.cleaning import clean_facescrub, clean_megaface
from mxft.faces.evaluation.megaface.feature_file import read_feature, write_feature
from mxft.faces.evaluation.megaface.features import write_features
from mxft.faces.evaluation.megaface.lists import read_images, read_noises
from tests.support.small_ijb import SIZE, face_checkpoint, made_faces


def write(path, text):
    with open(path, "wb") as f:
        f.write(text.encode())
    return path


def test_a_file_is_what_upstreams_struct_packs(here):
    numbers = np.random.RandomState(0).randn(512).astype(np.float32)
    write_feature("a/b/c.jpg_x.bin", numbers)
    with open("a/b/c.jpg_x.bin", "rb") as f:
        data = f.read()
    assert struct.unpack("<4i", data[:16]) == (512, 1, 4, 5) and struct.unpack("<512f", data[16:]) == tuple(
        numbers.tolist())
    assert os.listdir("a/b") == ["c.jpg_x.bin"]
    np.testing.assert_array_equal(read_feature("a/b/c.jpg_x.bin"), numbers)


@pytest.mark.parametrize("data", [b"", b"123", struct.pack("<4i", 2, 1, 4, 5) + b"1234567",
                                  struct.pack("<4i", 2, 1, 4, 6) + b"12345678",
                                  struct.pack("<4i", 2, 2, 4, 5) + b"12345678",
                                  struct.pack("<4i", 0, 1, 4, 5), struct.pack("<4i", -1, 1, 4, 5)])
def test_a_damaged_file_is_refused(data, here):
    with open("x.bin", "wb") as f:
        f.write(data)
    with pytest.raises(InputError, match="x.bin is no feature file: expected int32 rows, 1, 4, 5"):
        read_feature("x.bin")


def test_lists(here):
    found = read_images(write("fs", "Ann/Ann_1.png\r\nimages/x/Bob/Bob_2.png\r\n\n"), "facescrub")
    assert found == {"Ann/Ann_1.png": "Ann/Ann_1.png", "Bob/Bob_2.png": "images/x/Bob/Bob_2.png"}
    assert list(read_images(write("mf", "a/37/5@N0/1_0.jpg\n"), "megaface")) == ["37/5@N0/1_0.jpg"]
    for text, message in (("Ann_1.png\n", "line 1: expected a path of at least 2 parts, received 'Ann_1.png'"),
                          ("a/../x.png\n", "line 1"), ("a//x.png\n/x.png", "line 1"), ("", "images is empty"),
                          ("a/x.png\nb/a/x.png\n", "expected a/x.png once, received it on lines 1 and 2")):
        with pytest.raises(InputError, match=message):
            read_images(write("bad", text), "facescrub")


def test_missing_images_are_told_with_the_line(here):
    os.makedirs("root/Ann")
    write("root/Ann/Ann_1.png", "")
    with pytest.raises(InputError, match=r"expected root/Ann/Ann_2.png, which line 2 of fs names, received none \(and "
                                         r"1 more are missing\); in that folder: nearest: Ann_1.png"):
        read_images(write("fs", "Ann/Ann_1.png\nAnn/Ann_2.png\nBob/Bob_1.png\n"), "facescrub", "root")
    with pytest.raises(InputError, match="expected a folder, received facescrub_root='none'"):
        read_images("fs", "facescrub", "none")


@pytest.fixture
def images(here, random_parameters):
    """root/Ann and root/Bob with three faces each, the list fs, and an executor."""
    faces, _ = made_faces(2, 3)
    names = [f"{person}/{person}_{k}.png" for person in ("Ann", "Bob") for k in (1, 2, 3)]
    for name, face in zip(names, faces):
        os.makedirs(os.path.dirname(f"root/{name}"), exist_ok=True)
        cv2.imwrite(f"root/{name}", face[:, :, ::-1])
    write("fs", "\n".join(names))
    return read_images("fs", "facescrub", "root"), embedding_executor(face_checkpoint(random_parameters), 4, SIZE)


def test_features_are_the_flipped_sum_at_length_1(images):
    paths, executor = images
    result = write_features(executor, paths, "root", "out/facescrub", "y1", SIZE, show=False)
    assert (result.written, result.unreadable, result.bad_list) == (6, 0, None)
    encoded = []
    for path in paths.values():
        with open(f"root/{path}", "rb") as f:
            encoded.append(f.read())
    for name, embedding in zip(paths, embed_images(executor, encoded, SIZE, flip=True)):
        feature = read_feature(f"out/facescrub/{name}_y1.bin")
        np.testing.assert_allclose(feature, embedding / np.linalg.norm(embedding), atol=1e-6)
    assert sorted(os.listdir("out/facescrub/Ann")) == [f"Ann_{k}.png_y1.bin" for k in (1, 2, 3)]


def test_what_cannot_be_read_is_listed_and_the_rest_is_written(images):
    paths, executor = images
    write("root/Ann/Ann_2.png", "none")
    cv2.imwrite("root/Bob/Bob_1.png", np.zeros((5, 6, 3), np.uint8))
    for _ in range(2):                                                                 # the list is made again
        result = write_features(executor, paths, "root", "out/facescrub", "y1", SIZE, threads=2, show=False)
        assert (result.written, result.unreadable) == (4, 2)
        with open(result.bad_list, encoding="utf-8") as f:
            rows = [line.rstrip().split("\t") for line in f]
        assert rows[0][0] == "Ann/Ann_2.png" and "neither JPEG nor PNG" in rows[0][1]
        assert rows[1] == ["Bob/Bob_1.png", "6x5 pixels instead of 16x16"]
    assert sorted(os.listdir("out/facescrub/Ann")) == ["Ann_1.png_y1.bin", "Ann_3.png_y1.bin"]


def test_a_list_of_bad_images_goes_when_all_are_good(images):
    paths, executor = images
    write("root/Ann/Ann_2.png", "none")
    bad = write_features(executor, paths, "root", "out/facescrub", "y1", SIZE, show=False).bad_list
    cv2.imwrite("root/Ann/Ann_2.png", np.full((*SIZE, 3), 9, np.uint8))
    write_features(executor, paths, "root", "out/facescrub", "y1", SIZE, show=False)
    assert not os.path.exists(bad)


def test_a_diverged_network_is_told(here, random_parameters):
    checkpoint = face_checkpoint(random_parameters)
    checkpoint.arg_params["pre_fc1_bias"][:] = np.nan
    cv2.imwrite("1.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(RunError, match="received NaN or infinity from layer fc1 for 1.png; wrong mean"):
        write_features(embedding_executor(checkpoint, 4, SIZE), {"a/1.png": "1.png"}, ".", "out", "x", SIZE, show=False)


def test_noises_of_facescrub_get_their_persons_direction(here):
    features = {name: np.random.RandomState(i).randn(4) for i, name in enumerate(
        ["Ann/1.png", "Ann/2.png", "Ann/3.png", "Bob/4.png"])}
    for name, feature in features.items():
        write_feature(f"out/facescrub/{name}_x.bin", feature / np.linalg.norm(feature))
    images = dict.fromkeys(features)
    noises = read_noises(write("noises.txt", "#note\n2.png\nCarl_9.png\n"))
    result = clean_facescrub(images, noises, "out/facescrub", "clean/facescrub", "x", show=False)
    assert (result.written, result.noises, result.unknown) == (4, 1, 1)
    for name in ("Ann/1.png", "Ann/3.png", "Bob/4.png"):
        clean = read_feature(f"clean/facescrub/{name}_x.bin")
        np.testing.assert_array_equal(clean[:4], read_feature(f"out/facescrub/{name}_x.bin"))
        assert len(clean) == 5 and clean[4] == 0
    others = sum(read_feature(f"out/facescrub/Ann/{k}.png_x.bin") for k in (1, 3))
    noisy = read_feature("clean/facescrub/Ann/2.png_x.bin")
    np.testing.assert_allclose(noisy[:4], others / np.linalg.norm(others), atol=2e-3)
    assert np.linalg.norm(noisy) == pytest.approx(1, abs=1e-6) and noisy[4] == 0
    assert not np.allclose(noisy[:4], others / np.linalg.norm(others), atol=1e-6)      # moved a little
    clean_facescrub(images, noises, "out/facescrub", "again/facescrub", "x", show=False)
    np.testing.assert_array_equal(read_feature("again/facescrub/Ann/2.png_x.bin"), noisy)
    with pytest.raises(InputError, match="expected at least one face of Bob that is none, received Bob/4.png"):
        clean_facescrub(images, {"4.png"}, "out/facescrub", "clean/facescrub", "x", show=False)


def test_noises_of_megaface_go_far_away(here):
    images = read_images(write("mf", "1/a/1.jpg\n1/b/1.jpg\n"), "megaface")
    for name in images:
        write_feature(f"out/megaface/{name}_x.bin", [0.6, 0.8])
    noises = read_noises(write("noises.txt", "7\t1/b/1.jpg\n"))
    result = clean_megaface(images, noises, "out/megaface", "clean/megaface", "x", show=False)
    assert (result.written, result.noises, result.unknown) == (2, 1, 0)
    np.testing.assert_allclose(read_feature("clean/megaface/1/a/1.jpg_x.bin"), [0.6, 0.8, 0])
    np.testing.assert_allclose(read_feature("clean/megaface/1/b/1.jpg_x.bin"), [0.6, 0.8, 100])
    write_feature("out/megaface/1/b/1.jpg_x.bin", [1, 2, 3])
    with pytest.raises(InputError, match="expected 2 numbers, received 3 in out/megaface/1/b/1.jpg_x.bin"):
        clean_megaface(images, noises, "out/megaface", "clean/megaface", "x", show=False)
