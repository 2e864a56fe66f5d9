"""Galleries: saved and read again, what is refused, people and strangers against slow loops."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.gallery import enrollment, matching
from mxft.faces.gallery.embedding import EmbeddedFaces
from mxft.faces.gallery.enrollment import expected_fpir, own_threshold
from mxft.faces.gallery.gallery import Gallery, load_gallery
from mxft.faces.gallery.identification import identify, write_table
from mxft.faces.gallery.images import FaceImages
from mxft.faces.gallery.matching import best_of_others, nearest_people, threshold_at_fpir


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def made(people=30, most=5, size=8, seed=0):
    """A gallery of people with 1 to `most` embeddings each, near a direction of their own."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, most + 1, people)
    labels = [f"p{person:03d}" for person, count in enumerate(counts) for _ in range(count)]
    centres = rng.normal(size=(people, size))
    vectors = unit(np.repeat(centres, counts, axis=0) + 0.4 * rng.normal(size=(len(labels), size)))
    return Gallery.of(labels, vectors, [f"{i}.jpg" for i in range(len(labels))], {"model": "made", "weights": "w"})


def slow_nearest(gallery, query, pool):
    """Return [(cosine, person)] of all people, the nearest first, one pair at a time."""
    found = []
    for person in range(len(gallery.names)):
        own = [vector.astype(float) for vector, owner in zip(gallery.vectors, gallery.owners) if owner == person]
        if pool == "mean":
            mean = sum(own)
            found.append((float(query @ mean / np.linalg.norm(mean)), person))
        else:
            found.append((max(float(query @ vector) for vector in own), person))
    return sorted(found, key=lambda pair: (-pair[0], pair[1]))


@pytest.mark.parametrize("pool", ["mean", "max"])
@pytest.mark.parametrize("rows, queries", [(1 << 16, 256), (4, 3), (1, 1)])
def test_the_nearest_people_are_those_of_slow_loops(pool, rows, queries, monkeypatch):
    monkeypatch.setattr(matching, "ROWS", rows)
    monkeypatch.setattr(matching, "QUERIES", queries)
    gallery = made()
    asked = unit(np.random.default_rng(1).normal(size=(7, 8)))
    people, cosines = nearest_people(gallery, asked, 4, pool)
    for query, own, scores in zip(asked, people, cosines):
        expected = slow_nearest(gallery, query, pool)[:4]
        assert own.tolist() == [person for _, person in expected]
        assert np.allclose(scores, [cosine for cosine, _ in expected], atol=1e-6)


def test_more_people_than_there_are_and_no_faces():
    gallery = made(3)
    assert nearest_people(gallery, gallery.vectors[:2], 9)[0].shape == (2, 3)
    assert nearest_people(gallery, gallery.vectors[:0], 2)[0].shape == (0, 2)
    with pytest.raises(InputError, match=r"embeddings do not fit the gallery: expected 8 numbers each, received \(1,"):
        nearest_people(gallery, np.ones((1, 4), np.float32))
    with pytest.raises(InputError, match="pool`?: expected one of mean, max"):
        nearest_people(gallery, gallery.vectors, pool="median")


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_what_strangers_score_is_the_best_of_the_others(pool):
    gallery = made(12)
    scores = best_of_others(gallery, pool)
    for vector, owner, score in zip(gallery.vectors, gallery.owners, scores):
        assert score == pytest.approx(max(c for c, p in slow_nearest(gallery, vector, pool) if p != owner), abs=1e-6)
    assert len(best_of_others(gallery, sample=5)) == 5


def test_thresholds_let_in_no_more_strangers_than_asked():
    scores = np.random.default_rng(0).uniform(-1, 1, 200)
    for fpir in (0.005, 0.01, 0.1, 0.5):
        threshold = threshold_at_fpir(scores, fpir)
        assert (scores > threshold).sum() == int(fpir * 200)
    assert threshold_at_fpir(scores, 0.004) is None and threshold_at_fpir(np.zeros(0), 0.1) is None
    gallery = made(60)
    threshold, told = own_threshold(gallery, 0.05)
    assert expected_fpir(gallery, threshold) <= 0.05 and told.startswith("FPIR 0.05 of ")
    with pytest.raises(InputError, match="no threshold from the gallery itself: expected two people and 100 images"):
        own_threshold(made(5), 0.01)


def test_a_gallery_comes_back_as_it_was(tmp_path):
    gallery = made()
    gallery.save(tmp_path / "g.npz")
    found = load_gallery(tmp_path / "g.npz")
    assert found.names == gallery.names and found.images == gallery.images and found.facts == gallery.facts
    assert (found.vectors == gallery.vectors).all() and (found.owners == gallery.owners).all()
    assert len(repr(found)) < 300 and "30 people" in str(found) and "no threshold" in str(found)


def test_people_come_in_the_order_of_their_names_and_more_can_come():
    first = Gallery.of(["Bob", "Ann", "Bob"], unit(np.eye(3)), ["b1", "a", "b2"], {"weights": "w", "flip": True})
    assert first.names == ["Ann", "Bob"] and first.images == ["a", "b1", "b2"] and first.counts().tolist() == [1, 2]
    more = first.with_more(Gallery.of(["Ann", "Cy"], unit(np.ones((2, 3))), ["a2", "c"], {"weights": "w",
                                                                                        "flip": True}))
    assert more.names == ["Ann", "Bob", "Cy"] and more.images == ["a", "a2", "b1", "b2", "c"]
    with pytest.raises(InputError, match="embeddings cannot be compared: expected the same network as"):
        first.with_more(Gallery.of(["Cy"], unit(np.ones((1, 3))), ["c"], {"weights": "other", "flip": True}))


@pytest.mark.parametrize("fpir", [0, 1, 2, -1, float("nan")])
def test_a_rate_is_between_0_and_1(fpir):
    with pytest.raises(InputError, match="fpir: expected a rate between 0 and 1, received fpir="):
        own_threshold(Gallery.of(["Ann", "Bob"], unit(np.eye(2)), ["a", "b"], {}), fpir)


def test_a_rate_finer_than_the_sample_asks_more_images(monkeypatch):
    """1 in 50 of 60 images, where 10 are asked for else: no threshold came of it, without a word."""
    monkeypatch.setattr(enrollment, "SAMPLE", 10)
    vectors = unit(np.random.default_rng(0).normal(size=(60, 8)))
    gallery = Gallery.of([f"p{i % 20:02d}" for i in range(60)], vectors, list(map(str, range(60))), {})
    threshold, told = own_threshold(gallery, 0.02)
    assert threshold == np.sort(best_of_others(gallery, sample=60))[-2] and "of 60 images" in told


@pytest.mark.parametrize("name, message", [("unknown", "which strangers are called"), ("a\nb", "expected one line")])
def test_names_that_mislead_are_refused_before_any_work(name, message):
    images = FaceImages(["1.jpg"], [name], None, [True])
    with pytest.raises(InputError, match="name cannot be enrolled: .*" + message):
        enrollment.enroll_faces(None, images)


@pytest.mark.parametrize("change, reason", [
    ({"format": np.array("other")}, "its format is 'other'"), ({"embeddings": None}, "missing"),
    ({"embeddings": np.ones((3, 2))}, "embeddings are float64"), ({"owners": np.array([0, 1])}, "3 embeddings have"),
    ({"owners": np.array([0, 2, 2])}, "do not belong together"), ({"owners": np.array([1, 0, 1])}, "do not belong"),
    ({"embeddings": np.full((3, 2), np.nan, np.float32)}, "not of unit length"),
    ({"names": np.array(["Ann\x1b[31m", "Bob"])}, "a name is no line"), ({"facts": np.array("[")}, "Expecting value"),
    ({"facts": np.array('{"threshold": "high"}')}, "its threshold is 'high'"),
    ({"names": np.array([{}, 1], object)}, "names is object"), ({"facts": np.array("[]")}, "its facts are list"),
    ({"facts": np.array('{"flip": 3}')}, "its flip is '3'"),
    ({"names": np.array(["Ann", "B\nob"])}, "no line of text: 'B.*nob'"),
    ({"facts": np.array('{"image_size": [1e9, -3]}')}, "its image_size"),
    ({"facts": np.array('{"fpir": "x"}')}, "its fpir is 'x'"),
    ({"facts": np.array('{"threshold": NaN}')}, "its threshold is 'nan'"),
    ({"facts": np.array('{"threshold_from": "\\u001b[2J"}')}, "its threshold_from")])
def test_a_damaged_gallery_is_refused(change, reason, tmp_path):
    parts = {"format": np.array("mxft face gallery 1"), "embeddings": unit(np.ones((3, 2))),
             "owners": np.array([0, 1, 1]), "names": np.array(["Ann", "Bob"]), "images": np.array(["a", "b", "c"]),
             "facts": np.array("{}")}
    with open(tmp_path / "good.npz", "wb") as f:
        np.savez(f, **parts)
    load_gallery(tmp_path / "good.npz")
    with open(tmp_path / "bad.npz", "wb") as f:
        np.savez(f, **{name: value for name, value in {**parts, **change}.items() if value is not None})
    with pytest.raises(InputError, match="gallery cannot be read: expected one mxft enroll has written.*" + reason):
        load_gallery(tmp_path / "bad.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:300])
    with pytest.raises(InputError, match="gallery cannot be read"):
        load_gallery(tmp_path / "cut.npz")


def test_names_that_are_no_lines_are_not_saved(tmp_path):
    gallery = Gallery.of(["a\nb"], unit(np.ones((1, 3))), ["x"], {})
    with pytest.raises(InputError, match="gallery is not written"):
        gallery.save(tmp_path / "g.npz")
    with pytest.raises(InputError, match=r"expected a file ending in \.npz"):
        made(2).save(tmp_path / "g.bin")


def test_faces_are_named_or_unknown(tmp_path):
    gallery = Gallery.of(["Ann", "Bob"], np.eye(2, dtype=np.float32), ["a", "b"], {})
    boxes = np.array([[1, 2, 3, 4], [np.nan] * 4], np.float32)
    found = EmbeddedFaces(unit(np.array([[1, 0.1], [0.7, 0.7001]])), np.ones(2), np.array([0, 1]), boxes,
                          np.ones(2), {}, {})
    rows = identify(gallery, found, ["x.jpg", "y.jpg"], 2, threshold=0.8)
    assert [row.name for row in rows] == ["Ann", "unknown"]
    assert str(rows[0]) == "x.jpg [1, 2, 3, 4]: Ann 0.995, Bob 0.100"
    assert str(rows[1]) == "y.jpg: unknown (nearest: Bob 0.707, Ann 0.707)"
    assert [row.name for row in identify(gallery, found, ["x.jpg", "y.jpg"])] == ["Ann", "Bob"]
    write_table(tmp_path / "who.csv", rows)
    lines = (tmp_path / "who.csv").read_text().splitlines()
    assert lines[0] == "image,left,top,right,bottom,name,nearest1,cosine1,nearest2,cosine2"
    assert lines[1].startswith("x.jpg,1.0,2.0,3.0,4.0,Ann,Ann,0.99503") and lines[2].startswith("y.jpg,,,,,unknown,Bob")


def test_an_image_that_is_there_already_is_not_added_again():
    gallery, more = made(6), made(6, seed=1)
    both = gallery.with_more(more)
    assert len(both.owners) == len(gallery.owners) + len(more.owners) and both.names == gallery.names
    again = both.with_more(more)
    assert np.array_equal(again.vectors, both.vectors) and again.images == both.images
    renamed = Gallery.of([f"x{owner}" for owner in more.owners], more.vectors, more.images, more.facts)
    assert len(both.with_more(renamed).owners) == len(both.owners) + len(more.owners)      # another person's stay
