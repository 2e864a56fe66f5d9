"""The drop step: planted wrong images go, the rest keeps its bytes, and what does not fit is refused."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.faces.data.layout import read_face_set
from mxft.faces.data.records import RecordFile
from mxft.faces.data.set_writer import FaceSetWriter
from mxft.faces.drop_noisy import class_subcentres, drop_noisy
from mxft.network.checkpoint import Checkpoint
from tests.support.images import encoded, noise

CLASSES, EACH, WRONG = 4, 6, 2
COLOURS = np.array([[200, 20, 20], [20, 200, 20], [20, 20, 200], [140, 140, 20], [20, 140, 140]])


def coloured(number, colour):
    return (noise(number, (8, 8), 0, 20) + COLOURS[colour]).astype(np.uint8)


@pytest.fixture
def faces(tmp_path):
    """Classes of one colour each, BGR; two images of each have the next class's colour."""
    with FaceSetWriter(tmp_path / "faces") as writer:
        for c in range(CLASSES):
            colours = [c] * EACH + [(c + 1) % CLASSES] * WRONG
            writer.add_identity(c, [(f"{c}/{i}.png", encoded(coloured(10 * c + i, colour)))
                                    for i, colour in enumerate(colours)])
        writer.finish(["Ada", "Bo", "Cy", "Di"], (8, 8))
    return read_face_set(tmp_path / "faces")


@pytest.fixture
def checkpoint():
    """An embedding that is the mean colour, RGB, and three centres a class: a stray one, its own colour, the next."""
    data = mx.sym.Variable("data")
    net = mx.sym.Flatten(mx.sym.Pooling(data, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool0"))
    net = mx.sym.FullyConnected(net, num_hidden=3, no_bias=True, name="fc1")
    rgb = COLOURS[:, ::-1]
    centres = np.stack([np.stack([[1, 1, 1], rgb[c], rgb[(c + 1) % CLASSES]]) for c in range(CLASSES)])
    return Checkpoint(net, {"fc1_weight": mx.nd.array(np.eye(3)), "fc7_weight": mx.nd.array(centres)}, {})


def images(faces):
    records = RecordFile(faces.rec)
    return [records.image(int(o), int(s))[1].tobytes() for o, s in zip(faces.offsets, faces.sizes)]


def test_wrong_images_are_dropped_and_listed(checkpoint, faces, tmp_path):
    result = drop_noisy(checkpoint, faces, str(tmp_path / "cleaned"), 30)
    assert str(result) == (f"kept 24 images of 4 identities in {tmp_path}/cleaned, dropped 8 farther than 30 degrees "
                           f"from their class's dominant sub-centre, listed in {tmp_path}/cleaned/dropped.tsv")
    cleaned = read_face_set(tmp_path / "cleaned")
    right = np.tile([True] * EACH + [False] * WRONG, CLASSES)
    assert cleaned.labels.tolist() == faces.labels[right].tolist()
    assert images(cleaned) == [image for image, keep in zip(images(faces), right) if keep]
    assert (tmp_path / "cleaned" / "identities.txt").read_text() == "Ada\nBo\nCy\nDi\n"
    rows = [line.split("\t") for line in (tmp_path / "cleaned" / "dropped.tsv").read_text().splitlines()]
    assert rows[0] == ["key", "label", "identity", "degrees"]
    assert [int(row[0]) for row in rows[1:]] == faces.keys[~right].tolist()
    assert rows[1][1:3] == ["0", "Ada"] and all(30 <= float(row[3]) <= 90 for row in rows[1:])


def test_names_that_do_not_fit_are_refused_and_not_left_out(checkpoint, faces, tmp_path):
    (tmp_path / "faces" / "identities.txt").write_text("Ada\nBo\n")
    with pytest.raises(InputError, match="expected a name for each label up to 3, received 2 in"):
        drop_noisy(checkpoint, faces, str(tmp_path / "cleaned"), 30)
    assert not (tmp_path / "cleaned").exists()


def test_in_chunks_it_is_the_same(checkpoint, faces, tmp_path, monkeypatch):
    drop_noisy(checkpoint, faces, str(tmp_path / "whole"), 30)
    monkeypatch.setattr("mxft.faces.drop_noisy.CHUNK", 10)
    drop_noisy(checkpoint, faces, str(tmp_path / "parts"), 30)
    for name in ("train.rec", "train.idx", "dropped.tsv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_an_identity_that_loses_all_is_left_out_and_the_others_move_up(checkpoint, faces, tmp_path):
    checkpoint.arg_params["fc7_weight"][1] = -1  # opposite to every colour
    result = drop_noisy(checkpoint, faces, str(tmp_path / "cleaned"), 30)
    assert (result.identities, result.gone, result.kept, result.dropped) == (3, 1, 18, 14)
    assert "; 1 identity has none left and is not in it" in str(result)
    assert np.unique(read_face_set(tmp_path / "cleaned").labels).tolist() == [0, 1, 2]
    assert (tmp_path / "cleaned" / "identities.txt").read_text() == "Ada\nCy\nDi\n"


def test_upstreams_parts_and_a_plain_head_are_read(checkpoint, faces):
    centres = checkpoint.arg_params.pop("fc7_weight").asnumpy()
    checkpoint.arg_params.update({"fc7_0_weight": mx.nd.array(centres[:2].reshape(6, 3)),
                                  "fc7_1_weight": mx.nd.array(centres[2:].reshape(6, 3))})
    np.testing.assert_array_equal(class_subcentres(checkpoint, CLASSES), centres)
    checkpoint.arg_params = {"fc7_weight": mx.nd.array(centres[:, 1])}
    np.testing.assert_array_equal(class_subcentres(checkpoint, CLASSES), centres[:, 1:2])


def test_a_network_that_diverged_drops_nothing(checkpoint, faces, tmp_path):
    checkpoint.arg_params["fc1_weight"][:] = np.nan
    with pytest.raises(RunError, match="are not finite: .* from layer fc1 for 32 of 32 images"):
        drop_noisy(checkpoint, faces, str(tmp_path / "cleaned"), 30)
    assert not (tmp_path / "cleaned" / "property").exists()


def test_what_does_not_fit_is_refused_and_leaves_nothing(checkpoint, faces, tmp_path):
    for threshold in (0, 180, -1):
        with pytest.raises(InputError, match="threshold: expected degrees above 0 and below 180, received threshold="):
            drop_noisy(checkpoint, faces, str(tmp_path / "cleaned"), threshold)
    with pytest.raises(InputError, match=r"threshold: expected some images within it, received threshold=0.001 with "
                                         r"the nearest at \d+\.\d degrees; was .* trained on this set"):
        drop_noisy(checkpoint, faces, str(tmp_path / "cleaned"), 0.001)
    with pytest.raises(InputError, match=r"folder: expected one without a face set, received .*faces' with property"):
        drop_noisy(checkpoint, faces, str(tmp_path / "faces"))
    whole = checkpoint.arg_params.pop("fc7_weight")
    with pytest.raises(InputError, match="class centres: expected fc7_weight, received none in .*; give the "):
        drop_noisy(checkpoint, faces, str(tmp_path / "cleaned"))
    checkpoint.arg_params["fc7_weight"] = whole[:3]
    with pytest.raises(InputError, match=r"expected those of 4 classes, received fc7 of shape \(3, 3, 3\) in"):
        drop_noisy(checkpoint, faces, str(tmp_path / "cleaned"))
    checkpoint.arg_params["fc7_weight"] = mx.nd.zeros((4, 3, 5))
    with pytest.raises(InputError, match="class centres do not fit: expected 3 numbers each, .* received 5"):
        drop_noisy(checkpoint, faces, str(tmp_path / "cleaned"))
    assert not (tmp_path / "cleaned").exists()
