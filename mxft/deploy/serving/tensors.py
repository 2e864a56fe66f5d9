"""Requests of the open inference protocol (KServe's version 2): tensors and pictures in JSON, checked one by one.

https://kserve.github.io/website/latest/modelserving/data_plane/v2_protocol/ says what stands where. Read in the process
that computes: a body made to cost time or memory costs no more than that process.
"""
import base64
import binascii
import dataclasses
import json
import reprlib

import numpy as np

from mxft.deploy.serving import PICTURE
from mxft.deploy.serving.jobs import Refused

MOST_ROWS = 64       # pictures in one request
MOST_VALUE = float(np.finfo(np.float32).max)
_DATATYPES = ("FP32", "UINT8")


@dataclasses.dataclass(frozen=True)
class InferRequest:
    """A request that was found in order.

    Parameters
    ----------
    pixels : numpy.ndarray
        The network's input, float32 ``(n, C, H, W)``.
    id : str or None
    outputs : list of str
        Names of the outputs that are asked for, in order.
    """

    pixels: np.ndarray
    id: str
    outputs: list


def parsed_request(body, signature, read):
    """Return the InferRequest of a body.

    Parameters
    ----------
    body : bytes
    signature : dict
        Of `mxft.deploy.bundle.signature.signature_of`.
    read : callable
        Returns the network's input for an encoded picture, float32 ``(1, C, H, W)``.

    Returns
    -------
    InferRequest

    Raises
    ------
    Refused
        400, with the field that is not as expected. What `read` raises of a picture.
    """
    request = _json(body)
    _expect(isinstance(request, dict), "a JSON object", request)
    identity = request.get("id")
    _expect(identity is None or isinstance(identity, str), "a string as id", identity)
    inputs = request.get("inputs")
    _expect(isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], dict), "inputs with one tensor",
            inputs)
    own, known = signature["input"], [each["name"] for each in outputs_of(signature)]
    name, datatype = inputs[0].get("name"), inputs[0].get("datatype")
    if name == PICTURE and datatype == "BYTES":
        pixels = _pictures(inputs[0], read)
    elif name == own["name"] and datatype in _DATATYPES:
        pixels = _tensor(inputs[0], own)
    else:
        raise _refused(f"the input {own['name']!r} of FP32 or UINT8, or {PICTURE!r} of BYTES", (name, datatype))
    wanted = request.get("outputs")
    if wanted is None:
        return InferRequest(pixels, identity, known)
    _expect(isinstance(wanted, list) and wanted and all(isinstance(each, dict) for each in wanted),
            "outputs as a list of objects", wanted)
    names = [each.get("name") for each in wanted]
    for each in names:
        _expect(isinstance(each, str) and each in known, f"outputs among {', '.join(known)}", each)
    return InferRequest(pixels, identity, names)


def outputs_of(signature):
    """Return the entries of all outputs of a signature."""
    return signature.get("outputs") or [signature["output"]]


def response(request, signature, values):
    """Return the answer for JSON.

    Parameters
    ----------
    request : InferRequest
    signature : dict
    values : list of list of numpy.ndarray
        For each picture its outputs' numbers, as people are shown them: calibrated probabilities where there are any.

    Returns
    -------
    dict
    """
    known = [each["name"] for each in outputs_of(signature)]
    outputs = []
    for name in request.outputs:
        numbers = np.stack([np.asarray(row[known.index(name)], np.float32).ravel() for row in values])
        outputs.append({"name": name, "datatype": "FP32", "shape": list(numbers.shape),
                        "data": numbers.ravel().tolist()})
    return {"model_name": signature["name"], "model_version": "1", **({"id": request.id} if request.id else {}),
            "outputs": outputs}


def _json(body):
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"Expected JSON as the body, received something else ({str(error)[:80]}).") from None


def _pictures(tensor, read):
    """Return the network's input of pictures that stand in base64."""
    data = _flat(tensor.get("data"), str, "a list of strings in base64 as data")
    _require_shape(tensor.get("shape"), [[len(data)], [len(data), 1]])
    rows = []
    for each in data:
        try:
            picture = base64.b64decode(each, validate=True)
        except (binascii.Error, ValueError):
            raise _refused("base64 in each string of data", each[:40]) from None
        rows.append(read(picture))
    return np.concatenate(rows)


def _tensor(tensor, own):
    """Return the network's input of numbers: FP32 as they are, UINT8 as pixels, less the mean, times the scale."""
    shape, image = tensor.get("shape"), own["shape"][1:]
    _expect(isinstance(shape, list) and len(shape) == 4 and shape[1:] == image and all(
        type(length) is int for length in shape), f"shape [N, {', '.join(map(str, image))}]", shape)
    _expect(1 <= shape[0] <= MOST_ROWS, f"1 to {MOST_ROWS} pictures", shape[0])
    try:
        values = np.array(tensor.get("data"), np.float64)
    except (ValueError, TypeError, OverflowError):
        raise _refused("numbers as data", tensor.get("data")) from None
    _expect(values.size == int(np.prod(shape)), f"{int(np.prod(shape))} numbers as data", values.size)
    _expect(bool(np.isfinite(values).all()) and float(np.abs(values).max()) <= MOST_VALUE,
            "finite numbers as data", "others")
    if tensor["datatype"] == "FP32":
        return values.astype(np.float32).reshape(shape)
    _expect(bool((values == np.floor(values)).all()) and values.min() >= 0 and values.max() <= 255,
            "whole numbers from 0 to 255 as data of UINT8", [float(values.min()), float(values.max())])
    pixels = values.astype(np.float32).reshape(shape)
    mean, scale = (np.float32(own[key]).reshape(1, -1, 1, 1) for key in ("mean", "scale"))
    return (pixels - mean) * scale


def _flat(data, kind, expected):
    data = data if isinstance(data, list) else None
    _expect(data is not None and 1 <= len(data) <= MOST_ROWS and all(isinstance(each, kind) for each in data),
            f"{expected}, 1 to {MOST_ROWS}", data)
    return data


def _require_shape(shape, expected):
    _expect(shape in expected, f"shape {expected[0]}", shape)


def _expect(fact, expected, received):
    if not fact:
        raise _refused(expected, received)


def _refused(expected, received):
    return Refused(400, f"Expected {expected}, received {reprlib.repr(received)}.")
