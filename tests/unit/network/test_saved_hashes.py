"""Hashes beside a checkpoint: damaged and replaced files are refused by name, and a meant change can be accepted."""
import dataclasses
import os
import pathlib
import random
import shutil

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.accepting import accept_files
from mxft.network.array_hashes import FRAME, ArrayHashes, name_arrays
from mxft.network.checkpoint import load_checkpoint, params_path
from mxft.network.manifest import known_hashes, read_manifest, write_manifest
from mxft.training.run import RunFolder
from tests.support.flipping import flip_bit

MANIFEST = {"format": 1, "classes": ["a", "b", "c"], "metrics": {"best": {"val_top1": 0.5}}}


@pytest.fixture
def net(here, make_checkpoint):
    """A checkpoint saved as ``net,best`` and, other parameters, ``net,7``."""
    for seed, epoch in ((1, "best"), (2, 7)):
        dataclasses.replace(make_checkpoint(3, seed=seed), manifest=MANIFEST).save("net", epoch)
    return "net"


def test_every_flipped_bit_of_the_parameters_is_noticed_and_its_array_named(net):
    path, rng, named = pathlib.Path(params_path(net, "best")), random.Random(3), 0
    whole, arrays = path.read_bytes(), load_checkpoint("net,best").arg_params
    for _ in range(150):
        flip_bit(path, rng.randrange(8 * len(whole)))
        with pytest.raises(InputError, match="parameters (are damaged or were replaced|cannot be read)") as refused:
            load_checkpoint("net,best")
        assert "net,7 is whole; or copy the file again" in str(refused.value)
        named += any(f"net-best.params: arg:{name};" in str(refused.value) for name in arrays)
        path.write_bytes(whole)
    assert named > 60
    assert load_checkpoint("net,best").manifest == MANIFEST


def test_a_flipped_number_is_refused_word_for_word(net):
    entries = mx.nd.load("net-best.params")
    entries["arg:fc1_bias"][0] += 1
    mx.nd.save("net-best.params", entries)
    with pytest.raises(InputError, match="^parameters are damaged or were replaced: expected the arrays that were "
                                         "saved, received others in net-best.params: arg:fc1_bias; net,7 is whole; or "
                                         "copy the file again; if the change is meant, mxft accept net,best records "
                                         "the files as they are$"):
        load_checkpoint("net,best")
    assert load_checkpoint("net,7").name == "net,7"


def test_a_temperature_with_a_flipped_bit_is_not_used(net):
    write_manifest(net, {**MANIFEST, "thresholds": [0.5, 0.25]})
    path = pathlib.Path("net-manifest.json")
    path.write_text(path.read_text().replace("0.25", "0.35"))
    with pytest.raises(InputError, match="^manifest is damaged or was edited: expected the content that its checksum "
                                         "was made of, received another one in net-manifest.json; restore it from a "
                                         "copy; if the change is meant, mxft accept net,best records the files as "
                                         "they are$"):
        load_checkpoint("net,7")


@pytest.mark.parametrize("damaged, message", [
    ('"pool_type": "max"', "symbol is damaged or was replaced: expected the graph that was saved, received another "
                           "content in net-symbol.json; restore it from a copy; if the change is meant, mxft accept "
                           "net,best records the files as they are"),
    ('"pool_typm": "avg"', "symbol cannot be read: Pooling 'pool0': .*'pool_typm', in net-symbol.json; it is damaged "
                           "or was replaced: restore it from a copy")])
def test_another_graph_is_refused_also_where_it_is_none_of_mxnets(net, damaged, message):
    path = pathlib.Path("net-symbol.json")
    path.write_text(path.read_text().replace('"pool_type": "avg"', damaged))
    with pytest.raises(InputError, match=f"^{message}$"):
        load_checkpoint("net,best")


def test_the_same_graph_as_mxnet_writes_it_is_accepted(net):
    mx.sym.load("net-symbol.json").save("net-symbol.json")
    assert load_checkpoint("net,best").classes == ["a", "b", "c"]


def test_an_epoch_of_another_program_beside_an_old_manifest_is_loaded(net):
    symbol, args, auxs = mx.model.load_checkpoint("net", 7)
    mx.model.save_checkpoint("net", 5, symbol, {name: value + 1 for name, value in args.items()}, auxs)
    np.testing.assert_array_equal(load_checkpoint("net,5").arg_params["fc1_bias"].asnumpy(),
                                  (args["fc1_bias"] + 1).asnumpy())


def test_parameters_that_another_program_replaced_can_be_accepted(net):
    symbol, args, auxs = mx.model.load_checkpoint("net", 7)
    mx.model.save_checkpoint("net", 7, symbol, {**args, "fc1_bias": args["fc1_bias"] + 1}, auxs)
    with pytest.raises(InputError, match="arg:fc1_bias; net,best is whole; .* mxft accept net,7 records"):
        load_checkpoint("net,7")
    assert accept_files("net,7") == ["manifest: unchanged", "symbol: unchanged",
                                     "parameters of 7: recorded as they are, 1 differ: arg:fc1_bias"]
    assert load_checkpoint("net,7").name == "net,7" and load_checkpoint("net,best").name == "net,best"


def test_an_edited_manifest_can_be_accepted(net):
    path = pathlib.Path("net-manifest.json")
    path.write_text(path.read_text().replace('"c"', '"cat"'))
    assert accept_files("net,best") == ["manifest: accepted as it is", "symbol: unchanged",
                                        "parameters of best: unchanged"]
    assert load_checkpoint("net,best").classes == ["a", "b", "cat"]


def test_what_is_not_accepted(net, make_checkpoint):
    entries = mx.nd.load("net-best.params")
    entries["arg:fc1_bias"][0] = float("nan")
    mx.nd.save("net-best.params", entries)
    with pytest.raises(InputError, match="^parameters are not accepted: expected finite numbers, received NaN or "
                                         "infinity in fc1_bias of net-best.params$"):
        accept_files("net,best")
    make_checkpoint(3).save("plain", 0)
    with pytest.raises(InputError, match="^nothing to accept: expected a manifest, received model='plain,0' without "
                                         "plain-manifest.json; without one the files are not compared"):
        accept_files("plain,0")


def test_a_checkpoint_without_hashes_loads_as_ever(net):
    manifest, _ = read_manifest(net)
    os.unlink("net-manifest.json")
    flip_bit("net-best.params", 8 * (os.path.getsize("net-best.params") // 2))
    assert load_checkpoint("net,best").classes is None
    pathlib.Path("net-manifest.json").write_text('{"classes": ["a", "b", "c"]}')
    assert load_checkpoint("net,best").classes == manifest["classes"]


@pytest.mark.parametrize("entry", [3, {}, [3], [{"symbol": 1, "arrays": [], "epochs": {}}],
                                   [{"symbol": "x", "arrays": [1], "epochs": {"7": ["0" * 32]}}],
                                   [{"symbol": "x", "arrays": ["a"], "epochs": {"7": "0" * 32}}],
                                   [{"symbol": "x", "arrays": ["a"], "epochs": {"7": ["0" * 31]}}]])
def test_hashes_of_another_form_are_refused(net, entry):
    from mxft.files.checked_json import write_checked

    write_checked("net-manifest.json", {**MANIFEST, "hashes": entry})
    with pytest.raises(InputError, match="^manifest cannot be read: expected the hashes of the saved epochs as hashes"):
        load_checkpoint("net,best")


@pytest.mark.parametrize("killed_in", ["net-symbol.json", "net-best.params", "net-manifest.json"])
@pytest.mark.parametrize("manifest", [MANIFEST, "old"])
def test_a_process_killed_between_two_files_leaves_a_checkpoint_that_loads(net, make_checkpoint, monkeypatch, killed_in,
                                                                            manifest):
    class Killed(BaseException):
        pass

    if manifest == "old":  # of an mxft that kept no hashes
        pathlib.Path("net-manifest.json").write_text('{"classes": ["a", "b", "c"]}')
    replace, before = os.replace, load_checkpoint("net,best").arg_params["fc1_bias"].asnumpy()

    def then_killed(source, target):
        replace(source, target)
        if os.path.basename(target) == killed_in:
            raise Killed

    after = dataclasses.replace(make_checkpoint(3, seed=5), manifest=MANIFEST)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", then_killed)
        after.save("net", "best")
    found = load_checkpoint("net,best").arg_params["fc1_bias"].asnumpy()
    assert any((found == one).all() for one in (before, after.arg_params["fc1_bias"].asnumpy()))
    after.save("net", "best")
    assert len(known_hashes(net).epochs["best"]) == 1
    assert load_checkpoint("net,7").classes == ["a", "b", "c"]


def test_the_hashes_of_epochs_that_are_dropped_go_with_them(tmp_path, make_checkpoint):
    checkpoint = make_checkpoint(3)
    run = RunFolder(str(tmp_path / "run"), checkpoint.symbol, {"classes": ["a", "b", "c"]}, keep_last=2)
    for epoch in (1, 2, 3, "best", 4):
        run.save(epoch, checkpoint.arg_params, checkpoint.aux_params, {"val_top1": 0.5})
    manifest, hashes = read_manifest(run.prefix)
    assert sorted(hashes.epochs) == sorted(manifest["metrics"]) == ["3", "4", "best"]


def test_files_of_another_prefix_have_hashes_of_their_own(net):
    load_checkpoint("net,7").save("other", 0)
    assert list(known_hashes("other").epochs) == ["0"]
    shutil.copy("net-manifest.json", "moved-manifest.json")
    for ending in ("-symbol.json", "-best.params"):
        shutil.copy(f"net{ending}", f"moved{ending}")
    assert load_checkpoint("moved,best").classes == ["a", "b", "c"]


def test_hashes_of_arrays_name_what_differs():
    one = ArrayHashes(("a", "b"), "0" * 48)
    assert one.differing(one) == []
    assert one.differing(ArrayHashes(("a", "c"), "0" * 48)) == ["b", "c"]
    assert one.differing(ArrayHashes(("a", "b"), "1" + "0" * 47)) == [FRAME]
    assert name_arrays(["a", "b", "c", "d", FRAME]) == "a, b, c and 1 more"


def test_a_new_checkpoint_has_its_manifest_before_its_parameters(here, make_checkpoint, monkeypatch):
    """A reader that finds parameters finds what goes with them; parameters that stand get no facts of others."""
    appeared, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (appeared.append(os.path.basename(target)),
                                                               replace(source, target)))
    checkpoint = dataclasses.replace(make_checkpoint(3), manifest=MANIFEST)
    checkpoint.save("new", 0)
    assert appeared == ["new-manifest.json", "new-symbol.json", "new-0000.params", "new-manifest.json"]
    os.unlink("new-manifest.json")
    appeared.clear()
    checkpoint.save("new", 0)
    assert appeared == ["new-symbol.json", "new-0000.params", "new-manifest.json"]
