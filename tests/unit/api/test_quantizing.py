"""`mxft.quantize` and the precision of the other calls: on a tiny network and written pictures."""
import os

import numpy as np
import pytest

import mxft
from tests.support.images import levelled, write_classes
from tests.support.int8 import needs_int8


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with the checkpoint ``net,0`` and photos of cats and dogs."""
    checkpoint = make_checkpoint(2, filters=16)
    checkpoint.manifest = {"input": {"size": 16, "mean": [9, 9, 9], "scale": 0.01}, "classes": ["cat", "dog"],
                           "packing": {"resize": 18}}
    checkpoint.save("net", 0)
    write_classes(here / "photos", ["cat", "dog"], 12, levelled)
    return here


@needs_int8
def test_a_quantized_checkpoint_is_a_model_for_every_call(here):
    result = mxft.quantize("net,0", "photos", "int8/net", calibration_images=8, check_images=16, force=True)
    assert result.quantization.images == 8 and result.speed > 0 and result.judged
    assert sorted(os.listdir("int8")) == ["net-0000.params", "net-manifest.json", "net-symbol.json"]
    assert "computed in" in result._repr_html_()
    int8 = mxft.predict("int8/net,0", "photos").probabilities
    np.testing.assert_array_equal(mxft.predict(result.checkpoint, "photos", precision="int8").probabilities, int8)
    exact = mxft.predict(result.checkpoint, "photos", precision="fp32").probabilities
    np.testing.assert_array_equal(mxft.predict("net,0", "photos").probabilities, exact)
    assert 0 < abs(int8 - exact).max() < 0.05
    assert mxft.score("int8/net,0", "photos").top1 == (int8.argmax(axis=1) == np.repeat([0, 1], 12)).mean()
    float32, rounded = (mxft.embed("int8/net,0", "photos", precision=name).vectors for name in ("fp32", "int8"))
    assert 0 < abs(float32 - rounded).max() < 0.1 * abs(float32).max()


@needs_int8
def test_a_name_that_is_taken_is_refused_before_work(here):
    mxft.load_checkpoint("net,0").save("out", 0)
    with pytest.raises(mxft.InputError, match="output name: expected one that is free, received 'out'"):
        mxft.quantize("net,0", "photos", "out")


def test_settings_and_precisions_there_are_none_of_are_refused(here):
    with pytest.raises(mxft.InputError, match="quantize: expected settings of method, .*, received 'bits'"):
        mxft.quantize("net,0", "photos", bits=4)
    with pytest.raises(mxft.InputError, match="precision: expected one of .*, received precision='int4'"):
        mxft.predict("net,0", "photos", precision="int4")


@pytest.mark.parametrize("settings, message", [
    ({"precision": "bf16"}, "precision: expected fp32 or int8, received precision='bf16'"),
    ({"precision": "int8"}, "precision: expected images beside int8, .*, received none"),
    ({"min_cosine": 0.9}, "min_cosine: expected precision='int8' beside it, received min_cosine=0.9 alone")])
def test_an_export_that_cannot_be_is_refused(here, settings, message):
    pytest.importorskip("onnxruntime")
    with pytest.raises(mxft.InputError, match=message):
        mxft.export("net,0", "net.onnx", **settings)


def test_an_int8_file_is_exported(here):
    pytest.importorskip("onnxruntime")
    result = mxft.export("net,0", "net.onnx", images="photos", precision="int8", min_cosine=0.9)
    assert result.cosine > 0.9 and result.images == 24 and os.path.exists("net.onnx")
