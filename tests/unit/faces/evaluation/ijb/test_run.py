"""A network on IJB's lists against its embeddings pooled in loops; what is missing or unreadable is named."""
import dataclasses
import os

import cv2
import numpy as np
import pytest

from mxft.errors import InputError, RunError
from mxft.faces.align.similarity import align_face
from mxft.faces.evaluation.embedding import embed_views, embedding_executor
from mxft.faces.evaluation.ijb.files import find_lists
from mxft.faces.evaluation.ijb.protocol import check_faces, read_protocol
from mxft.faces.evaluation.ijb.run import embed_templates, evaluate_protocol
from mxft.faces.evaluation.ijb.templates import Pooling
from tests.reference.ijb import slow_cosine, slow_identification, slow_image, slow_tar, slow_template
from tests.support.small_ijb import SIZE, face_checkpoint, made_faces, write_lists, write_scenes

PEOPLE, IMAGES = 12, 6
TEMPLATES = np.arange(PEOPLE * IMAGES) // 3 * 7 % 100 + 1             # two of three faces a person, ids out of order
MEDIA = np.arange(PEOPLE * IMAGES) % 3 // 2                           # the first two of a template are one video


@pytest.fixture
def here(here, random_parameters):
    """IJBC/meta and IJBC/loose_crop of 24 templates, and ``face,0``."""
    faces, whose = made_faces(PEOPLE, IMAGES)
    points = write_scenes("IJBC/loose_crop", faces)
    people = dict(zip(TEMPLATES.tolist(), whose.tolist()))
    ids = list(people)
    pairs = [(a, b, int(people[a] == people[b])) for a in ids for b in ids if a < b]
    galleries = {"G1": [(t, people[t]) for t in ids[0:8:2]], "G2": [(t, people[t]) for t in ids[8:16:2]]}
    write_lists("IJBC/meta", points, TEMPLATES, MEDIA, pairs, galleries, [(t, people[t]) for t in ids[1::2]])
    face_checkpoint(random_parameters)
    return here


@pytest.fixture
def executor(here):
    from mxft.network.checkpoint import load_checkpoint

    return embedding_executor(load_checkpoint("face,0"), 5, SIZE)


def slow_features(executor, faces, pooling):
    """The features of all templates from embeddings that are all there, in loops."""
    crops = [align_face(cv2.imread(f"IJBC/loose_crop/{name}")[:, :, ::-1], points, SIZE)
             for name, points in zip(faces.names, faces.landmarks)]
    views = embed_views(executor, [cv2.imencode(".png", crop[:, :, ::-1])[1].tobytes() for crop in crops], SIZE)
    images = [slow_image(views[:, i], faces.scores[i], pooling.flip, pooling.detector_score, pooling.unit_length)
              for i in range(len(crops))]
    return [slow_template([images[row] for row in np.flatnonzero(faces.templates == template)],
                          faces.media[faces.templates == template]) for template in np.unique(faces.templates)]


@pytest.mark.parametrize("pooling", [Pooling(), Pooling(False, False, True), Pooling(detector_score=False)])
def test_templates_against_the_loops(pooling, executor):
    protocol = read_protocol(find_lists("IJBC"), "1:1")
    check_faces(protocol.faces, "IJBC/loose_crop")
    ids, features = embed_templates(executor, protocol.faces, "IJBC/loose_crop", SIZE, pooling, show=False)
    slow = slow_features(executor, protocol.faces, pooling)
    assert ids.tolist() == sorted(set(TEMPLATES.tolist())) and features.dtype == np.float32
    np.testing.assert_allclose(features, slow, atol=1e-5)
    result = evaluate_protocol(protocol, features)
    left, right, issame = protocol.pairs
    scores = [slow_cosine(slow[a], slow[b]) for a, b in zip(left, right)]
    np.testing.assert_allclose(result.scores, scores, atol=1e-5)
    assert result.verification.tar[0.1] == pytest.approx(slow_tar(result.scores.tolist(), issame, 0.1))
    assert result.verification.tar[0.1] > 0.8 and result.notes == ()                  # the network tells them apart


def test_search_against_the_loops(executor):
    protocol = read_protocol(find_lists("IJBC/meta"), "1:N")
    _, features = embed_templates(executor, protocol.faces, "IJBC/loose_crop", SIZE, show=False)
    found = evaluate_protocol(protocol, features).identification
    assert list(found) == ["G1", "G2", "mean"] and found["G1"].mated == found["G2"].mated == 4
    for name, (gallery, whose) in protocol.galleries.items():
        probes, subjects = protocol.probes
        top1, top5, _ = slow_identification(features[probes], subjects, features[gallery], whose.tolist(), 0.5)
        assert (found[name].top[1], found[name].top[5]) == (top1, top5)
    assert found["mean"].top[1] == (found["G1"].top[1] + found["G2"].top[1]) / 2
    assert found["G1"].tpir_text(0.1) == "needs 10 probes whose person is not in the gallery, received 8"


def test_batch_size_and_threads_change_nothing(here):
    from mxft.network.checkpoint import load_checkpoint

    protocol = read_protocol(find_lists("IJBC"), "1:1")
    results = [embed_templates(embedding_executor(load_checkpoint("face,0"), batch, SIZE), protocol.faces,
                               "IJBC/loose_crop", SIZE, threads=threads, show=False)[1]
               for batch, threads in ((1, 1), (32, 3), (100, 1))]
    np.testing.assert_allclose(results[1], results[0], atol=1e-5)
    np.testing.assert_allclose(results[2], results[0], atol=1e-5)


def test_aligned_crops_need_neither_landmarks_nor_scores(executor):
    faces, _ = made_faces(PEOPLE, IMAGES)
    os.mkdir("crops")
    for number, face in enumerate(faces):
        cv2.imwrite(f"crops/{number}.png", face[:, :, ::-1])
    os.remove("IJBC/meta/ijbc_name_5pts_score.txt")
    with pytest.raises(InputError, match="list is missing: expected ijbc_name_5pts_score.txt in IJBC/meta"):
        read_protocol(find_lists("IJBC"), "1:1")
    protocol = read_protocol(find_lists("IJBC"), "1:1", need_points=False)
    pooling = Pooling(detector_score=False)
    _, features = embed_templates(executor, protocol.faces, "crops", SIZE, pooling, aligned=True, show=False)
    assert evaluate_protocol(protocol, features).verification.tar[0.1] > 0.8
    with pytest.raises(RunError, match="image is not aligned: expected 16x16 pixels, received 51x51 in "
                                       "IJBC/loose_crop/0.png, which line 1 of IJBC/meta/ijbc_face_tid_mid.txt names"):
        embed_templates(executor, protocol.faces, "IJBC/loose_crop", SIZE, pooling, aligned=True, show=False)


def test_missing_images_are_told_before_the_first_is_embedded(here):
    faces = read_protocol(find_lists("IJBC"), "1:1").faces
    os.remove("IJBC/loose_crop/3.png")
    os.remove("IJBC/loose_crop/70.png")
    with pytest.raises(InputError, match=r"expected IJBC/loose_crop/3.png, which line 4 of IJBC/meta/ijbc_face_tid_mid"
                                         r".txt names, received none \(and 1 more\); in that folder: nearest: "):
        check_faces(faces, "IJBC/loose_crop")
    with pytest.raises(InputError, match="images are missing: expected a folder, received images='IJBC/crops'"):
        check_faces(faces, "IJBC/crops")


def test_an_unreadable_image_stops_and_is_named(executor):
    faces = read_protocol(find_lists("IJBC"), "1:1").faces
    with open("IJBC/loose_crop/40.png", "wb") as f:
        f.write(b"no picture")
    with pytest.raises(RunError, match=r"received IJBC/loose_crop/40.png \(neither JPEG nor PNG.*which line 41 of "):
        embed_templates(executor, faces, "IJBC/loose_crop", SIZE, show=False)


@pytest.mark.parametrize("value", [5, np.inf])
def test_landmarks_in_one_place_are_told_before_the_first_is_embedded(value, here):
    faces = read_protocol(find_lists("IJBC"), "1:1").faces
    faces.landmarks[2:4] = value
    with pytest.raises(InputError, match=r"received \[\[.*\]\] for 2.png, which line 3 of .* names \(and 1 more\)$"):
        check_faces(faces, "IJBC/loose_crop")
    check_faces(faces, "IJBC/loose_crop", aligned=True)


def test_landmarks_in_another_order_are_no_faces(here):
    faces = read_protocol(find_lists("IJBC"), "1:1").faces
    for wrong in (faces.landmarks.reshape(-1, 2, 5).transpose(0, 2, 1), faces.landmarks[:, :, ::-1],
                  faces.landmarks[:, [1, 0, 2, 4, 3]]):
        with pytest.raises(InputError, match=r"landmarks are no faces': expected x1 y1 … x5 y5 of left eye.* of 0.png"):
            check_faces(dataclasses.replace(faces, landmarks=wrong), "IJBC/loose_crop")


def test_what_makes_numbers_doubtful_is_noted(executor):
    lists = find_lists("IJBC")
    for end in ("G1", "G2"):
        with open(f"IJBC/meta/ijbc_1N_gallery_{end}.csv", "a", encoding="utf-8") as f:
            f.write("8,0\n")
    protocol = read_protocol(lists, "1:N")
    protocol.faces.scores[TEMPLATES == 8] = 0
    _, features = embed_templates(executor, protocol.faces, "IJBC/loose_crop", SIZE, show=False)
    notes = evaluate_protocol(protocol, features).notes
    assert notes[0].startswith("1 of 24 templates have a feature of zero")
    assert notes[1] == "1 subjects have several templates in gallery G1: the most similar counts"
    assert notes[2] == "1 subjects are in both galleries: the mean counts their probes twice"


def test_one_gallery_is_enough_and_said(executor):
    os.remove("IJBC/meta/ijbc_1N_gallery_G1.csv")
    protocol = read_protocol(find_lists("IJBC"), "1:N")
    _, features = embed_templates(executor, protocol.faces, "IJBC/loose_crop", SIZE, show=False)
    result = evaluate_protocol(protocol, features)
    assert list(result.identification) == ["G2"] and result.notes == ("there is one gallery only, G2: no mean",)


def test_lists_that_a_protocol_lacks(here):
    os.remove("IJBC/meta/ijbc_1N_probe_mixed.csv")
    with pytest.raises(InputError, match="expected ijbc_1N_probe_mixed.csv in IJBC/meta, received none; nearest: "):
        read_protocol(find_lists("IJBC"), "1:N")
    os.remove("IJBC/meta/ijbc_template_pair_label.txt")
    with pytest.raises(InputError, match="expected ijbc_template_pair_label.txt in IJBC/meta"):
        read_protocol(find_lists("IJBC"), "1:1")
