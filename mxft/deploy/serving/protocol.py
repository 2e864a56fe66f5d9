"""The addresses of the open inference protocol (KServe's version 2), answered with the numbers of ``/predict``."""
from flask import jsonify, request

from mxft import __version__
from mxft.deploy.serving import PICTURE
from mxft.deploy.serving.jobs import Refused

PLATFORM = "mxnet"


def add_protocol(app, front, signature):
    """Add ``/v2`` and ``/v2/models/NAME`` to an application.

    Parameters
    ----------
    app : flask.Flask
    front : mxft.deploy.serving.front.Front
    signature : dict
        Of `mxft.deploy.bundle.signature.signature_of`.

    Notes
    -----
    JSON only: the protocol's binary extension is not answered. A tensor is the network's own input, FP32 as it is or
    UINT8 as pixels; the input ``picture`` of BYTES holds encoded pictures in base64, which are read as those of
    ``/predict`` are.
    """
    metadata = metadata_of(signature)

    @app.get("/v2")
    def server():
        return jsonify(name="mxft", version=__version__, extensions=[])

    @app.get("/v2/models/<name>")
    @app.get("/v2/models/<name>/versions/<version>")
    def model(name, version="1"):
        _require(name, version)
        return jsonify(metadata)

    @app.get("/v2/models/<name>/ready")
    @app.get("/v2/models/<name>/versions/<version>/ready")
    def model_ready(name, version="1"):
        _require(name, version)
        return jsonify(name=name, ready=front.ready), 200 if front.ready else 503

    @app.post("/v2/models/<name>/infer")
    @app.post("/v2/models/<name>/versions/<version>/infer")
    def infer(name, version="1"):
        _require(name, version)
        return jsonify(front.ask("infer", lambda: [request.get_data(cache=False)]))

    def _require(name, version):
        if (name, version) != (signature["name"], "1"):
            raise Refused(404, f"There is no model {name!r} in version {version!r}; {signature['name']!r} is served, "
                               "in version '1'.", "model")


def metadata_of(signature):
    """Return the protocol's description of a model.

    Examples
    --------
    >>> entry = {"name": "softmax_output", "shape": ["N", 7], "values": "probabilities"}
    >>> metadata_of({"name": "net", "input": {"name": "data", "shape": ["N", 3, 8, 8]}, "output": entry})["outputs"]
    [{'name': 'softmax_output', 'datatype': 'FP32', 'shape': [-1, 7]}]
    """
    outputs = signature.get("outputs") or [signature["output"]]
    return {"name": signature["name"], "versions": ["1"], "platform": PLATFORM,
            "inputs": [{"name": signature["input"]["name"], "datatype": "FP32",
                        "shape": [-1, *signature["input"]["shape"][1:]]},
                       {"name": PICTURE, "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": each["name"], "datatype": "FP32", "shape": [-1, *each["shape"][1:]]}
                        for each in outputs]}
