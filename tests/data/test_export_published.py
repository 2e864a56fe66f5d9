"""The published checkpoints, old symbols and GluonCV networks as ONNX files, against ONNX Runtime."""
import pytest

from tests.reference.export_parity import CHECKPOINTS, GLUON, SYMBOLS, exported

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("name", [*CHECKPOINTS, *(pytest.param(name, marks=pytest.mark.long)
                                                  for name in (*SYMBOLS, *GLUON))])
def test_a_network_computes_the_same_in_onnx_runtime(name, testdata, tmp_path):
    result = exported(name, str(tmp_path))
    assert result.error < 1e-4 and result.any_batch
