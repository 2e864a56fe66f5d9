"""In which numbers a checkpoint is computed: as asked, as its manifest says, and as the CPU can."""
import argparse
import dataclasses
import logging

import pytest

from mxft.commandline.models import at_precision
from mxft.errors import InputError
from mxft.inference import precision as module
from mxft.inference.precision import PRECISION, Precision, precision_of
from mxft.network.quantization import ENTRY, Quantization, digest

RANGES = Quantization({"data": (-1, 1)}, (), {}, "naive", 1)


@pytest.fixture
def cpu(monkeypatch):
    """A function that gives the CPU these instructions."""
    def has(*instructions):
        for name in ("mxft.inference.int8.cpu_flags", "mxft.inference.bfloat16.cpu_flags"):
            monkeypatch.setattr(name, lambda: frozenset(instructions))
    return has


def checkpoint_of(make_checkpoint, asked=None, **manifest):
    made = make_checkpoint()
    return dataclasses.replace(made, precision=asked, manifest=manifest, name="runs/a")


QUANTIZED, TRAINED = {ENTRY: RANGES.to_dict()}, {PRECISION: "bf16"}
BOTH = ("avx512_vnni", "avx512_bf16")


@pytest.mark.parametrize("asked, manifest, instructions, expected", [
    (None, {}, BOTH, "fp32"), ("fp32", QUANTIZED, BOTH, "fp32"), ("bf16", {}, BOTH, "bf16"),
    ("bf16", QUANTIZED, BOTH, "bf16"), ("int8", QUANTIZED, BOTH, "int8"), (None, QUANTIZED, BOTH, "int8"),
    ("auto", QUANTIZED, BOTH, "int8"), ("auto", {}, BOTH, "bf16"), ("auto", {}, (), "fp32"),
    ("auto", QUANTIZED, ("avx512_bf16",), "bf16"), (None, TRAINED, BOTH, "bf16"), ("fp32", TRAINED, BOTH, "fp32")])
def test_what_is_computed_in(make_checkpoint, cpu, asked, manifest, instructions, expected):
    cpu(*instructions)
    found = precision_of(checkpoint_of(make_checkpoint, asked, **manifest))
    assert found.name == expected and (found.quantization is not None) == (expected == "int8")


@pytest.mark.parametrize("manifest, instructions", [(QUANTIZED, "avx512_vnni"), (TRAINED, "avx512_bf16")])
def test_float32_in_place_of_what_the_manifest_says_is_said(make_checkpoint, cpu, caplog, manifest, instructions):
    cpu()
    with caplog.at_level(logging.WARNING, "mxft"):
        assert precision_of(checkpoint_of(make_checkpoint, **manifest)) == Precision()
    assert f"computing in float32: this CPU has no {instructions}" in caplog.text


@pytest.mark.parametrize("asked, instructions", [("int8", "avx512_vnni"), ("bf16", "avx512_bf16")])
def test_what_the_cpu_cannot_is_refused(make_checkpoint, cpu, asked, instructions):
    cpu("avx512f")
    with pytest.raises(InputError, match=f"precision: expected a CPU with {instructions}, received precision='{asked}' "
                                         "on one without, where it would be slower than float32; leave it out"):
        precision_of(checkpoint_of(make_checkpoint, asked, **QUANTIZED))


def test_int8_of_a_checkpoint_that_was_not_quantized_is_refused(make_checkpoint, cpu):
    cpu(*BOTH)
    with pytest.raises(InputError, match="precision: expected a quantized checkpoint, received precision='int8' beside "
                                         "runs/a; mxft quantize --model runs/a --images PICTURES "
                                         "--output PREFIX makes one"):
        precision_of(checkpoint_of(make_checkpoint, "int8"))


def test_a_precision_there_is_none_of_is_refused(make_checkpoint):
    with pytest.raises(InputError, match="precision: expected one of .*int8.*, received precision='int4'"):
        precision_of(checkpoint_of(make_checkpoint, "int4"))


def test_parameters_that_were_changed_since_are_refused(make_checkpoint, cpu):
    cpu(*BOTH)
    checkpoint = checkpoint_of(make_checkpoint, **{ENTRY: dataclasses.replace(
        RANGES, parameters={"fc1_weight": "0" * 16}).to_dict()})
    with pytest.raises(InputError, match="quantization: expected the parameters it was calibrated with"):
        precision_of(checkpoint)
    assert precision_of(dataclasses.replace(checkpoint, precision="fp32")) == Precision()


def test_a_verb_hashes_the_parameters_once_and_says_once_what_the_cpu_cannot(make_checkpoint, cpu, caplog, monkeypatch):
    cpu()
    made, hashed = make_checkpoint(), []
    ranges = dataclasses.replace(RANGES, parameters={"fc1_weight": digest(made.arg_params["fc1_weight"])})
    made = dataclasses.replace(made, manifest={ENTRY: ranges.to_dict()})
    monkeypatch.setattr("mxft.network.quantization.digest", lambda value: hashed.append(value) or digest(value))
    with caplog.at_level(logging.WARNING, "mxft"):
        checkpoint = at_precision(argparse.Namespace(precision=None, gpus=""), made)
        assert [precision_of(checkpoint) for _ in range(2)] == [Precision()] * 2
    assert len(hashed) == 1 and caplog.text.count("avx512_vnni") == 1


def test_the_manifests_entry_is_read_as_it_was_written():
    assert Precision().entry() == {}
    assert Precision("bf16").entry() == {module.PRECISION: "bf16"}
    assert Precision("int8", RANGES).entry() == QUANTIZED
    assert [Precision().describe(), Precision("bf16").describe()] == ["float32", "bfloat16"]
