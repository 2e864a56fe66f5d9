"""Face networks in ONNX: which of a pack it is, how pixels go in, and that a batch of one does not stay one."""
import zipfile

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from mxft.backbones.gluon import MEAN  # noqa: E402
from mxft.errors import InputError  # noqa: E402
from mxft.faces.evaluation.embedding import embedding_executor  # noqa: E402
from mxft.importing.model_pack import kind_of_network  # noqa: E402
from mxft.importing.onnx import import_onnx  # noqa: E402
from mxft.network.graph import Graph  # noqa: E402
from tests.support.onnx_faces import formula, node, save  # noqa: E402

PIXELS = np.random.RandomState(0).randint(0, 256, (2, 3, 112, 112)).astype(np.float32)


def embed(checkpoint):
    return embedding_executor(checkpoint, len(PIXELS)).forward(PIXELS)


SCALARS = {"mean": np.array([127.5], np.float32), "scale": np.array([0.0078125], np.float32)}
NORMALISED = (node("Sub", ["data", "mean"], "n0", "_minusscalar0"), node("Mul", ["n0", "scale"], "n1", "_mulscalar0"))
UNIT = {"mean": np.array([0.5], np.float32), "scale": np.array([2], np.float32)}
CHANNELS = {"mean": np.array([120, 110, 100], np.float32).reshape(1, 3, 1, 1), "scale": np.float32(0.01)}


@pytest.mark.parametrize("first, constants, fed, said", [
    ((), {}, lambda x: (x - 127.5) / 127.5,
     "the graph does not normalise by itself: it is given (pixel - 127.5) / 127.5, as insightface's arcface_onnx.py"),
    (NORMALISED, SCALARS, lambda x: (x - 127.5) / 128, "the graph normalises by itself: it is given raw pixels"),
    (NORMALISED, UNIT, lambda x: (x / 255 - 0.5) * 2, "the graph normalises by itself: it is given pixels / 255"),
    (NORMALISED, CHANNELS, lambda x: (x - CHANNELS["mean"]) * 0.01, "it is given raw pixels"),
    ((node("BatchNormalization", ["data", "one", "zero", "hundred", "one"], "n0"),),
     {"one": np.ones(3, np.float32), "zero": np.zeros(3, np.float32), "hundred": np.full(3, 100, np.float32)},
     lambda x: x - 100, "it is given raw pixels"),
], ids=["none, as PyTorch exports", "MXNet's own", "from 0 to 1", "a number a channel", "MXNet's input version 2"])
def test_pixels_go_in_as_insightface_feeds_them(tmp_path, caplog, first, constants, fed, said):
    checkpoint = import_onnx(save(tmp_path / "net.onnx", first=first, constants=constants))
    assert said in caplog.text
    np.testing.assert_allclose(embed(checkpoint), formula(fed(PIXELS)), rtol=1e-3, atol=1e-3)
    assert checkpoint.manifest["embedding"] == checkpoint.anatomy.require_embedding().name


@pytest.mark.parametrize("settings, classes", [({"side": 96}, None), ({"end": 7}, None),
                                               ({}, [str(number) for number in range(64)])],
                         ids=["another size", "seven numbers", "class names"])
def test_what_is_no_face_network_keeps_imagenets_normalisation(tmp_path, settings, classes):
    assert import_onnx(save(tmp_path / "net.onnx", **settings), classes).input_spec.mean == tuple(MEAN)


@pytest.mark.parametrize("batch, flat", [(1, ("Flatten",)), ("N", ("Flatten",)), (1, (1, -1)), ("None", (1, -1)),
                                         (1, (1, 392)), ("N", (-1, 392)), ("N", (0, -1))])
def test_a_batch_of_one_is_written_into_nothing(tmp_path, batch, flat):
    """torch2onnx.py exports one image and renames its axis "None": the 1 of a Reshape stays there."""
    checkpoint = import_onnx(save(tmp_path / "net.onnx", batch=batch, flat=flat))
    np.testing.assert_allclose(embed(checkpoint), formula((PIXELS - 127.5) / 127.5), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gamma, fixed", [(np.ones(64, np.float32), "True"), (None, "False")])
def test_a_scale_that_was_kept_at_1_is_kept_there(tmp_path, gamma, fixed):
    """insightface does not train the scale of the embedding's BatchNorm, in MXNet (fix_gamma) as in PyTorch."""
    constants = {} if gamma is None else {"g": gamma}
    checkpoint = import_onnx(save(tmp_path / "net.onnx", constants=constants))
    node, = (node for node in Graph(checkpoint.symbol).operators() if node.op == "BatchNorm")
    assert node.attrs["fix_gamma"] == fixed


@pytest.fixture
def pack(tmp_path):
    """The folder of a pack: detector, landmarks, attributes, a swapper, and the recognition network."""
    folder = tmp_path / "buffalo_x"
    folder.mkdir()
    save(folder / "det_10g.onnx", 640, outputs=9)
    save(folder / "2d106det.onnx", 192)
    save(folder / "1k3d68.onnx", 192)
    save(folder / "genderage.onnx", 96)
    save(folder / "inswapper.onnx", 128, inputs=2)
    save(folder / "w600k_r50.onnx")
    return folder


@pytest.mark.parametrize("shape", [(1, 512), (1, 3, 112), (1, 3, 112, 112, 112), (1, 3, 112, 96), ()])
def test_a_network_without_a_square_picture_is_something_else(shape):
    inputs, outputs = (helper.make_tensor_value_info(name, TensorProto.FLOAT, list(size))
                       for name, size in (("x", shape), ("y", (1, 64))))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [inputs], [outputs])
    assert kind_of_network(graph) == "something else"


def test_of_a_pack_the_recognition_network_is_taken(pack, tmp_path):
    with zipfile.ZipFile(tmp_path / "buffalo_x.zip", "w") as packed:
        for path in pack.iterdir():
            packed.write(path, f"buffalo_x/{path.name}")
    wanted = formula((PIXELS - 127.5) / 127.5)
    for path in (pack, tmp_path / "buffalo_x.zip"):
        checkpoint = import_onnx(path)
        assert checkpoint.manifest["source"] == f"onnx, w600k_r50.onnx of {path.name}"
        np.testing.assert_allclose(embed(checkpoint), wanted, rtol=1e-4, atol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["buffalo_x", "buffalo_x.zip"]


def test_a_pack_without_one_or_with_two_is_refused_with_what_is_in_it(pack, tmp_path):
    save(pack / "w600k_mbf.onnx")
    with pytest.raises(InputError, match=r"expected one face recognition network .*received 2 in .*buffalo_x: "
                                         r"1k3d68.onnx \(landmarks\), 2d106det.onnx \(landmarks\), det_10g.onnx "
                                         r"\(detection\), genderage.onnx \(attributes\), inswapper.onnx \(something "
                                         r"else\), w600k_mbf.onnx \(recognition\), w600k_r50.onnx \(recognition\); "
                                         "give the file itself"):
        import_onnx(pack)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="received 0 in .*empty: no .onnx file"):
        import_onnx(tmp_path / "empty")
    (tmp_path / "half.zip").write_bytes(b"PK half of it")
    with pytest.raises(InputError, match="half.zip"):
        import_onnx(tmp_path / "half.zip")
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w") as packed:
        packed.writestr("pack/w600k_r50.onnx", b"half of it")
    with pytest.raises(InputError, match=f"an ONNX model, received {tmp_path}/damaged.zip/pack/w600k_r50.onnx"):
        import_onnx(tmp_path / "damaged.zip")


def test_a_shape_that_depends_on_the_image_is_refused(tmp_path):
    nodes = [node("Shape", ["data"], "s"), node("Reshape", ["data", "s"], "y")]
    data, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "H", "W"]) for name in ("data", "y"))
    graph = helper.make_graph(nodes, "net", [data], [y])
    path = str(tmp_path / "net.onnx")
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 11)]), path)
    with pytest.raises(InputError, match="expected a tensor of a known size but for the batch, received"):
        import_onnx(path)


@pytest.mark.parametrize("arch", ["mbf", *(pytest.param(name, marks=pytest.mark.long)
                                           for name in ("r18", "r50", "r100"))])
@pytest.mark.parametrize("exporter", ["legacy", pytest.param("dynamo", marks=pytest.mark.long)])
@pytest.mark.parametrize("free", [False, True], ids=["batch of one", "open batch"])
def test_what_pytorch_exports_computes_the_same(tmp_path, arch, exporter, free):
    """The networks of tests/support/torch_faces.py, all numbers random: equal to 1e-5 of the largest."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from tests.support import torch_faces

    net, path = torch_faces.network(arch), str(tmp_path / "net.onnx")
    torch_faces.export(net, path, exporter, free)
    wanted = torch_faces.embed(net, PIXELS)
    assert np.abs(embed(import_onnx(path)) - wanted).max() < 1e-5 * np.abs(wanted).max()
