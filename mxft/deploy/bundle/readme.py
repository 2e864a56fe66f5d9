"""README.txt of a bundle: how to use it with mxft, with plain MXNet and with plain ONNX Runtime."""
from mxft.deploy.bundle.signature import resize_rule, signature_of
from mxft.network.anatomy.outputs import LOG_PROBABILITIES, LOGITS, VALUES

_HEAD = """\
{name}: {gives}.

model-symbol.json, model-0000.params   the network, for every MXNet program
model-manifest.json                    class names, input, scores, origin, for mxft
{novelty_row}{onnx_row}synset.txt                             class names, one a line, in the order of the outputs
signature.json                         input, output and preprocessing, in numbers and words
selftest.jpg, selftest.json            a picture and what is expected of it
SHA256SUMS                             sha256sum -c SHA256SUMS

With mxft, in this folder (mxft serve takes the .tar as it is, too):

    mxft serve .                       # a page to drop pictures on
    mxft predict --model . selftest.jpg

The programs below run in this folder and print {printed} of
selftest.jpg. They resize with other filters than the training did, so that
their numbers differ in the second digit; mxft's are those expected.
"""

_READING = """
import cv2
import numpy as np

image = {opened}
{resizing}top, left = (image.shape[0] - {height}) // 2, (image.shape[1] - {width}) // 2
image = image[top:top + {height}, left:left + {width}].reshape({height}, {width}, {channels}).astype("float32")
data = {values}.transpose(2, 0, 1)[None]
"""

_MXNET = """
import mxnet as mx  # 1.9.1; with NumPy 1.24 or newer: from mxft.compat import mx

symbol, arg_params, aux_params = mx.model.load_checkpoint("model", 0)
module = mx.mod.Module(symbol, data_names=["{input}"], label_names=None)
module.bind([("{input}", data.shape)], for_training=False)
module.set_params(arg_params, aux_params, allow_missing=True)
module.forward(mx.io.DataBatch([mx.nd.array(data)]), is_train=False)
scores = module.get_outputs()[{position}].asnumpy()[0]
"""

_ONNX = """
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
scores = session.run(["{output}"], {{"{input}": data}})[0][0]
"""

_PRINTING = """names = open("synset.txt", encoding="utf-8").read().splitlines()
for i in {order}:
    print(f"{{scores[i]:.4f}}  {{names[i]}}")
"""


def readme(classifier, export=None, has_novelty=False):
    """Return the text of README.txt.

    Parameters
    ----------
    classifier : mxft.evaluation.classifier.Classifier
    export : mxft.deploy.onnx.OnnxExport, optional
        What was written as ``model.onnx``.
    has_novelty : bool
        Whether a novelty file was written beside the network.
    """
    signature, main = signature_of(classifier, export), classifier.outputs[0]
    reading = _READING.format(**_reading(classifier))
    onnx_row = "model.onnx                             the same network, for ONNX Runtime\n" if export else ""
    classes = len(classifier.classes)
    regression = main.kind == VALUES
    labels = classifier.thresholds is not None
    novelty_row = "model-0000-novelty.nd                  features of training images, by which mxft marks others\n"
    head = _HEAD.format(name=classifier.name, onnx_row=onnx_row, novelty_row=novelty_row if has_novelty else "",
                        gives=f"gives {classes} values for a picture" if regression
                        else f"tells which of {classes} labels a picture has" if labels
                        else f"names pictures with {classes} classes",
                        printed="the values" if regression else "the labels" if labels
                        else "the five likeliest classes")
    mxnet = _MXNET.format(input=signature["input"]["name"], position=main.position)
    parts = [head, "Plain MXNet:\n" + _indented(reading + mxnet + _printing(main, labels))]
    if export:
        onnx = _ONNX.format(input=export.input, output=signature["onnx"]["output"])
        parts.append("Plain ONNX Runtime:\n" + _indented(reading + onnx + _printing(main, labels)))
    return "\n".join(parts)


def _printing(output, labels):
    """Return the lines that print an output's own numbers as mxft shows them; of several labels those that are said."""
    steps = {LOGITS: "scores = np.exp(scores - scores.max())\nscores /= scores.sum()\n",
             LOG_PROBABILITIES: "scores = np.exp(scores)\n"}
    order = "range(len(scores))" if output.kind == VALUES else "np.argsort(-scores)[:5]"
    thresholds = ""
    if labels:
        thresholds = ('import json\n\nthresholds = json.load(open("signature.json", encoding="utf-8"))["target"]'
                      '["thresholds"]\n')
        order = "np.flatnonzero(scores >= thresholds)"
    return ("scores = scores.ravel()\n" * (output.size == 1) + steps.get(output.kind, "") + thresholds
            + _PRINTING.format(order=order))


def _reading(classifier):
    """Return what the reading part of a program depends on."""
    spec, rule = classifier.spec, resize_rule(classifier)
    lines, interp = [], classifier.packing.get("interp", "auto")
    interp = f"cv2.INTER_{'AREA' if interp == 'auto' else interp.upper()}"
    if classifier.packing.get("center_crop"):
        lines += ["side = min(image.shape[:2])",
                  "top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2",
                  "image = image[top:top + side, left:left + side]"]
    if rule and "short_side" in rule:
        lines += [f"factor = {rule['short_side']} / min(image.shape[:2])",
                  f"image = cv2.resize(image, None, fx=factor, fy=factor, interpolation={interp})"]
    elif rule:
        lines.append(f"image = cv2.resize(image, ({rule['width']}, {rule['height']}), interpolation={interp})")
    channels, height, width = spec.shape
    opened = 'cv2.imread("selftest.jpg")[:, :, ::-1]' if channels == 3 else 'cv2.imread("selftest.jpg", 0)'
    mean, scale = list(spec.mean[:channels]), list(spec.scale[:channels])
    raw = not any(mean) and set(scale) == {1.0}
    return {"opened": opened, "channels": channels, "height": height, "width": width,
            "resizing": "".join(line + "\n" for line in lines),
            "values": "image" if raw else f"((image - np.float32({mean})) * np.float32({scale}))"}


def _indented(program):
    return "".join(f"    {line}\n" if line else "\n" for line in program.splitlines())
