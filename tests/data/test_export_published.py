"""What export and predict give of the published checkpoints and of networks of Gluon's, beside Module.predict.

All of them, all doors, as a table: ``python tests/reference/doors.py``.
"""
import pytest

from tests.reference.doors import CHECKPOINTS, LIMIT, SYMBOLS, row

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.data

QUICK = ["gender-age/model", "mobilefacenet-y1/model", "mobilenet-v1-0.25"]
LONG = [*(name for name in CHECKPOINTS if name not in QUICK), *SYMBOLS, "resnet18_v2", "squeezenet1.1", "densenet121",
        "mobilenetv3_small", "resnext50_32x4d", "vgg11"]


def require(name, testdata):
    kinds, found = row(name)
    assert found.pop("export") < LIMIT
    for door, value in found.items():
        if set(kinds.values()) & {"embedding", "values"} and not isinstance(value, float):
            assert value.startswith("exit 2: ") and "expected classes, probabilities or values" in value, (door, value)
        else:
            assert value < LIMIT, (door, value)


@pytest.mark.parametrize("name", QUICK)
def test_every_door_gives_what_the_checkpoint_does(name, testdata):
    require(name, testdata)


@pytest.mark.long
@pytest.mark.parametrize("name", LONG)
def test_every_door_gives_what_the_checkpoint_does_at_length(name, testdata):
    require(name, testdata)
