"""YuNet through OpenCV, on a network made here with YuNet's twelve outputs: it sees a face where a picture is white."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mxft.errors import InputError
from mxft.faces.align.detection import make_detector

STEPS = (8, 16, 32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    nodes, values, outputs = [], [], []

    def constant(name, array):
        values.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    shape = {count: constant(f"shape{count}", np.array([1, -1, count], np.int64)) for count in (1, 4, 10)}
    brightness = constant("brightness", np.full((1, 3, 1, 1), 1 / 765, np.float32))
    nodes.append(helper.make_node("Conv", ["input", brightness], ["white"], kernel_shape=[1, 1]))
    landmarks = np.array([-0.5, -0.5, 0.5, -0.5, 0, 0, -0.4, 0.5, 0.4, 0.5], np.float32)
    for step in STEPS:
        pooled = f"pooled{step}"
        nodes.append(helper.make_node("AveragePool", ["white"], [pooled], kernel_shape=[step, step],
                                      strides=[step, step]))
        for kind, count, bias in (("cls", 1, None), ("obj", 1, None), ("bbox", 4, np.zeros(4, np.float32)),
                                  ("kps", 10, landmarks)):
            found = pooled
            if bias is not None:
                found = f"{kind}{step}"
                nodes.append(helper.make_node("Conv", [pooled, constant(f"zero{kind}{step}", np.zeros((count, 1, 1, 1),
                                              np.float32)), constant(f"bias{kind}{step}", bias)], [found],
                                              kernel_shape=[1, 1]))
            nodes += [helper.make_node("Transpose", [found], [f"last{kind}{step}"], perm=[0, 2, 3, 1]),
                      helper.make_node("Reshape", [f"last{kind}{step}", shape[count]], [f"{kind}_{step}"])]
    for kind, count in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        outputs += [helper.make_tensor_value_info(f"{kind}_{step}", TensorProto.FLOAT, [1, None, count])
                    for step in STEPS]
    data = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "h", "w"])
    made = helper.make_model(helper.make_graph(nodes, "yunet", [data], outputs, values),
                             opset_imports=[helper.make_opsetid("", 11)])
    made.ir_version = 6
    path = tmp_path_factory.mktemp("yunet") / "yunet.onnx"
    onnx.save(made, str(path))
    return str(path)


def scene(size, corner, edge):
    image = np.zeros((*size, 3), np.uint8)
    image[corner[1]:corner[1] + edge, corner[0]:corner[0] + edge] = 255
    return image


def test_a_face_is_where_the_picture_is_white(model):
    found = make_detector(model, 12, 0.9)(scene((192, 320), (64, 96), 32))
    largest = found.sizes.argmax()
    assert np.allclose(found.boxes[largest], [48, 80, 80, 112]) and found.scores[largest] > 0.99
    assert np.allclose(found.landmarks[largest], [[48, 80], [80, 80], [64, 96], [51.2, 112], [76.8, 112]], atol=0.1)


def test_a_large_picture_is_shrunk_for_it_and_the_face_found_where_it_is(model):
    found = make_detector(model, None, 0.9)(scene((1920, 3200), (640, 960), 320))
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    assert len(found) and (middles > [600, 920]).all() and (middles < [1000, 1320]).all() and found.sizes.min() >= 80


def test_faces_below_the_smallest_are_left_out(model):
    assert len(make_detector(model, 40, 0.9)(scene((192, 320), (64, 96), 32))) == 0


def test_none(model):
    assert len(make_detector(model)(np.zeros((100, 200, 3), np.uint8))) == 0


def test_another_onnx_file_is_refused(tmp_path):
    path = tmp_path / "other.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="detector cannot be used: expected an ONNX file of YuNet, received .*other"):
        make_detector(str(path))
