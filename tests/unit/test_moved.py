"""Import paths of mxft 0.1 give the modules of today, whichever of the two is imported first."""
import importlib
import subprocess
import sys

import pytest

from mxft.moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_path_is_the_module_of_the_new_one(old):
    assert importlib.import_module(old) is importlib.import_module(MOVED[old])


@pytest.mark.parametrize("module, name", [
    ("mxft.checkpoint", "load_checkpoint"), ("mxft.inference", "InferenceExecutor"),
    ("mxft.training.finetune", "finetune"), ("mxft.training.finetune", "Recipe"), ("mxft.files", "whole_file"),
    ("mxft.features.frozen_trunk", "CacheOptions"), ("mxft.data.images", "ImageOptions"),
    ("mxft.data.normalization", "InputSpec"), ("mxft.rewrite.inference", "rewrite_for_inference"),
    ("mxft.rewrite.training", "rewrite_for_training"), ("mxft.cli", "run_command"), ("mxft.export", "export_onnx"),
    ("mxft.training.faces.options", "FaceOptions"), ("mxft.data.faces.packing", "pack_faces"),
    ("mxft.training.frozen_trunk", "fit_frozen_trunk"), ("mxft.features.cut", "trunk_cut"),
    ("mxft.features.store", "trunk_facts"), ("mxft.report.judgement", "Judgement"),
    ("mxft.report.target_judgement", "target_judgement"), ("mxft.data.soundness", "check_records")])
def test_what_programs_imported_is_still_there(module, name):
    assert callable(getattr(importlib.import_module(module), name))


def test_an_old_path_may_come_first_and_leaves_the_module_its_own_name():
    code = ("import mxft.threads, sys; assert mxft.threads is sys.modules['mxft.machine.threads']; "
            "assert mxft.threads.__name__ == mxft.threads.__spec__.name == 'mxft.machine.threads'; "
            "from mxft.threads import computing_threads; assert mxft.machine.threads.computing_threads is "
            "computing_threads")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_path_that_never_was_is_refused_as_ever():
    with pytest.raises(ModuleNotFoundError, match=r"mxft\.checkpoints"):
        importlib.import_module("mxft.checkpoints")
