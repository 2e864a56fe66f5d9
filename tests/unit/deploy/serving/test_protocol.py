"""The open inference protocol: what is described, the numbers of tensors and pictures, and what is refused how."""
import base64
import dataclasses
import json

import numpy as np
import pytest

for package in ("flask", "waitress", "prometheus_client"):
    pytest.importorskip(package)

from mxft.deploy.serving.application import create_app  # noqa: E402
from mxft.deploy.serving.classifying import ClassifierWorker  # noqa: E402
from mxft.evaluation.classifier import Classifier  # noqa: E402
from mxft.network.input_spec import InputSpec  # noqa: E402
from tests.support.images import encoded, smooth  # noqa: E402
from tests.support.serving import front_of  # noqa: E402

SPEC = InputSpec((3, 16, 16), mean=(9, 8, 7), scale=(.01, .02, .03))
PICTURE = encoded(smooth(), ".png")


@pytest.fixture(scope="module")
def classifier(make_checkpoint):
    return Classifier(make_checkpoint(7), SPEC, {"resize": 20}, list("abcdefg"), "tiny")


@pytest.fixture(scope="module", params=[1, 4])
def client(request, classifier):
    worker = ClassifierWorker(classifier, batch_size=request.param)
    return create_app(front_of(worker), worker.facts).test_client()


def test_another_network_is_told_by_its_facts(classifier):
    def facts(checkpoint):
        return ClassifierWorker(dataclasses.replace(classifier, checkpoint=checkpoint)).facts

    def with_one(values):
        name = min(values)
        return {**values, name: values[name] + 1}

    own = classifier.checkpoint
    others = [dataclasses.replace(own, arg_params=with_one(own.arg_params)),
              dataclasses.replace(own, aux_params=with_one(own.aux_params))]
    assert facts(dataclasses.replace(own)) == facts(own)
    assert [facts(other) == facts(own) for other in others] == [False, False]


def tensor(values, datatype="FP32", **changes):
    return {"inputs": [{"name": "data", "datatype": datatype, "shape": list(values.shape),
                        "data": values.ravel().tolist(), **changes}]}


def pictures(*data, **changes):
    return {"inputs": [{"name": "picture", "datatype": "BYTES", "shape": [len(data)],
                        "data": [base64.b64encode(each).decode() for each in data], **changes}]}


def infer(client, body):
    return client.post("/v2/models/tiny/infer", json=body)


def numbers(client, body):
    output, = infer(client, body).get_json()["outputs"]
    assert output["name"] == "softmax_output" and output["datatype"] == "FP32"
    return np.reshape(output["data"], output["shape"])


def test_what_is_described(client):
    assert client.get("/v2").get_json()["name"] == "mxft"
    assert client.get("/v2/models/tiny").get_json() == {
        "name": "tiny", "versions": ["1"], "platform": "mxnet",
        "inputs": [{"name": "data", "datatype": "FP32", "shape": [-1, 3, 16, 16]},
                   {"name": "picture", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "softmax_output", "datatype": "FP32", "shape": [-1, 7]}]}
    assert client.get("/v2/models/tiny/versions/1/ready").get_json()["ready"] is True
    for path in ("/v2/models/other", "/v2/models/tiny/versions/2"):
        assert client.get(path).status_code == 404 and "'tiny' is served, in version '1'" in client.get(
            path).get_json()["error"]


def test_a_picture_gets_the_numbers_of_predict(client):
    row, = numbers(client, pictures(PICTURE))
    for entry in client.post("/predict", data=PICTURE).get_json()["classes"]:
        assert round(float(row["abcdefg".index(entry["name"])]), 6) == pytest.approx(entry["probability"], abs=1.1e-6)


@pytest.mark.parametrize("count", [1, 3, 5, 9])
def test_a_batch_gets_what_each_gets_alone(client, classifier, count):
    images = np.random.RandomState(0).randint(0, 256, (count, 3, 16, 16)).astype(np.uint8)
    together = numbers(client, tensor(images, "UINT8"))
    mean, scale = (np.float32(values).reshape(3, 1, 1) for values in (SPEC.mean, SPEC.scale))
    own = (images.astype(np.float32) - mean) * scale
    np.testing.assert_allclose(numbers(client, tensor(own)), together, atol=1e-6)
    bound = classifier.bind()
    for row, pixels in zip(together, own):
        np.testing.assert_allclose(row, bound.answers_to(pixels[np.newaxis])[0].shown, atol=1e-6)


def test_nested_data_a_name_and_an_output_that_is_asked_for(client):
    values = np.zeros((2, 3, 16, 16), np.float32)
    body = {**tensor(values, data=values.tolist()), "id": "x", "outputs": [{"name": "softmax_output"}]}
    answer = infer(client, body).get_json()
    assert answer["id"] == "x" and answer["model_version"] == "1" and answer["outputs"][0]["shape"] == [2, 7]


ZEROS = np.zeros((1, 3, 16, 16), np.float32)


@pytest.mark.parametrize("body, status, message", [
    (b"{", 400, "Expected JSON as the body, received something else (Expecting property name"),
    (b"[" * 100_000, 400, "Expected JSON as the body"), (b"\xff", 400, "Expected JSON as the body"),
    ([1], 400, "Expected a JSON object, received [1]."), ({}, 400, "Expected inputs with one tensor, received None."),
    ({"inputs": [{"name": "x", "datatype": "FP32"}]}, 400,
     "Expected the input 'data' of FP32 or UINT8, or 'picture' of BYTES, received ('x', 'FP32')."),
    (tensor(ZEROS, "FP64"), 400, "Expected the input 'data' of FP32 or UINT8"),
    (tensor(ZEROS[:, :, :8]), 400, "Expected shape [N, 3, 16, 16], received [1, 3, 8, 16]."),
    (tensor(ZEROS, shape=[True, 3, 16, 16]), 400, "Expected shape [N, 3, 16, 16], received [True, 3, 16, 16]."),
    (tensor(ZEROS, shape=[10 ** 12, 3, 16, 16]), 400, "Expected 1 to 64 pictures, received 1000000000000."),
    (tensor(ZEROS, data=[0]), 400, "Expected 768 numbers as data, received 1."),
    (tensor(ZEROS, data=["a"] * 768), 400, "Expected numbers as data"),
    (tensor(ZEROS, data=[[1], [1, 2]]), 400, "Expected numbers as data"),
    (tensor(ZEROS, data=[1e300] * 768), 400, "Expected finite numbers as data"),
    (tensor(ZEROS, data=[float("nan")] * 768), 400, "Expected finite numbers as data"),
    (tensor(ZEROS + 256, "UINT8"), 400, "Expected whole numbers from 0 to 255 as data of UINT8, received [256.0,"),
    (tensor(ZEROS + .5, "UINT8"), 400, "Expected whole numbers from 0 to 255"),
    ({**tensor(ZEROS), "id": 7}, 400, "Expected a string as id, received 7."),
    ({**tensor(ZEROS), "outputs": [{"name": "fc1"}]}, 400, "Expected outputs among softmax_output, received 'fc1'."),
    (pictures(PICTURE, data=["?"]), 400, "Expected base64 in each string of data, received '?'."),
    (pictures(PICTURE, shape=[2]), 400, "Expected shape [1], received [2]."),
    (pictures(*[b""] * 65), 400, "Expected a list of strings in base64 as data, 1 to 64"),
    (pictures(b"text"), 415, "This is no picture that can be read here"),
    (pictures(PICTURE[:-30]), 422, "This picture cannot be read (truncated PNG"),
], ids=range(24))
def test_what_is_refused(client, body, status, message):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = client.post("/v2/models/tiny/infer", data=data)
    assert response.status_code == status and list(response.get_json()) == ["error"]
    assert response.get_json()["error"].startswith(message)
