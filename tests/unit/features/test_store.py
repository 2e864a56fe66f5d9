"""FeatureStore computes a view once, keeps it within the budget, and never uses a file that is not the one it wants."""
import os
import types

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.features.extraction import extract_view
from mxft.features.store import FeatureStore, backbone_facts, check_cache
from mxft.features.view_file import UnusableView, read_view, write_view

RECORDS, WIDTH, BATCH = 10, 6, 4
FACTS = {"backbone": "a", "parameters": "b", "records": "c", "reading": {"seed": 1, "rand_crop": True}}
VIEW_BYTES = {"float32": RECORDS * (4 * WIDTH + 4), "float16": RECORDS * (2 * WIDTH + 4)}


def numbers(view, scale=1.0):
    """The features a view should have, and its labels."""
    rng = np.random.RandomState(view)
    return rng.normal(scale=scale, size=(RECORDS, WIDTH)).astype(np.float32), rng.randint(9, size=RECORDS).astype("f4")


class Executor:
    """A backbone whose output is its input; counts the views it went over."""

    output_shape = (BATCH, WIDTH)

    def __init__(self, fail_after=None):
        self.views, self._fail_after = 0, fail_after

    def over(self, iterator, progress=None):
        self.views += 1
        features, labels = iterator.view
        for number, start in enumerate(range(0, RECORDS, BATCH)):
            if number == self._fail_after:
                raise KeyboardInterrupt
            yield features[start:start + BATCH], labels[start:start + BATCH]


@pytest.fixture
def make_store(tmp_path):
    """A function ``(mode, **changes) -> (store, executor, what it said)``."""
    def make(mode="disk", facts=FACTS, executor=None, scale=1.0, **changes):
        executor, said = executor or Executor(), []
        store = FeatureStore(lambda: executor, lambda number: types.SimpleNamespace(
            view=numbers(number, scale), num_records=RECORDS), facts, mode, str(tmp_path / "cache"),
            **{"views": 2, "say": said.append, **changes})
        return store, executor, said
    return make


def require_views(store, dtype="float32"):
    for number in range(store.views):
        features, labels = numbers(number)
        view = store.view(number)
        np.testing.assert_array_equal(view.features, features.astype(dtype))
        np.testing.assert_array_equal(view.labels, labels)
        assert view.features.dtype == dtype and view.labels.dtype == np.float32


@pytest.mark.parametrize("mode, times", [("none", 4), ("memory", 2), ("disk", 2)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_view_is_computed_once(make_store, mode, times, dtype):
    store, executor, said = make_store(mode, dtype=dtype)
    assert (store.mode, store.dtype, store.num_records, store.feature_shape) == (mode, dtype, RECORDS, (WIDTH,))
    for _ in range(2):
        require_views(store, dtype)
    assert executor.views == times and "10 x (6,) " + dtype in said[0]


def test_the_next_run_takes_a_view_from_disk(make_store):
    require_views(make_store()[0])
    store, executor, said = make_store()
    require_views(store)
    assert executor.views == 0 and all("taken from " + store.path(i) in said[i] for i in range(2))
    assert isinstance(store.view(0).features, np.memmap)  # memory stays flat
    with pytest.raises(ValueError, match="expected a number below 2, received 2"):
        store.view(2)


@pytest.mark.parametrize("damage, message", [
    (lambda raw: raw[:-1], "truncated: expected [0-9,]+ bytes, received"), (lambda raw: raw + b"\0", "truncated"),
    (lambda raw: raw[:40], "damaged: its header cannot be read"), (lambda raw: b"", "damaged: it does not begin"),
    (lambda raw: b"X" + raw[1:], "damaged: it does not begin"),
    (lambda raw: flip(raw, -1), "damaged: its checksum"), (lambda raw: flip(raw, -RECORDS * 4 - 1), "its checksum"),
    (lambda raw: raw.replace(b'"shape": [10', b'"shape": [11'), "damaged: its header does not fit"),
    (lambda raw: raw.replace(b'"backbone": "a"', b'"backbone": "z"'), "stale: made with other backbone;"),
    (lambda raw: raw.replace(b'"facts"', b'"fatcs"'), "stale: made with other facts"),
])
def test_a_damaged_file_is_noticed_said_and_rebuilt(make_store, damage, message):
    import re

    first = make_store()[0]
    require_views(first)
    with open(first.path(1), "rb") as f:
        raw = f.read()
    with open(first.path(1), "wb") as f:
        f.write(damage(raw))
    store, executor, said = make_store()
    require_views(store)
    assert executor.views == 1 and any(re.search(message, line) and store.path(1) in line and "computed again" in line
                                       for line in said)
    with open(first.path(1), "rb") as f:
        assert f.read() == raw


def flip(raw, position):
    changed = bytearray(raw)
    changed[position] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("facts, other", [
    ({**FACTS, "parameters": "x"}, "parameters"), ({**FACTS, "reading": {"seed": 2, "rand_crop": True}}, "seed"),
    ({**FACTS, "backbone": "x", "records": "y"}, "backbone, records"),
])
def test_a_stale_file_is_noticed_and_said(make_store, facts, other):
    first = make_store()[0]
    require_views(first)
    store, executor, said = make_store(facts=facts)
    require_views(store)
    assert executor.views == 2 and f"is stale, made with other {other}; computed again" in said[0]
    assert store.path(0) != first.path(0) and os.path.exists(first.path(0))  # another run may still need it


def test_view_and_dtype_are_part_of_the_key(make_store):
    halves, wholes = make_store(dtype="float16")[0], make_store()[0]
    assert len({store.path(number) for store in (halves, wholes) for number in range(2)}) == 4
    wholes.view(0)
    os.rename(wholes.path(0), wholes.path(1))
    store, executor, said = make_store()
    require_views(store)
    assert executor.views == 2 and any("is stale: made with other view; computed again" in line for line in said)


def test_a_killed_extraction_leaves_nothing(make_store, tmp_path):
    store, _, _ = make_store(executor=Executor(fail_after=2))
    with pytest.raises(KeyboardInterrupt):
        store.view(0)
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.parametrize("budget, mode, dtype", [
    (2 * VIEW_BYTES["float32"], "memory", "float32"), (2 * VIEW_BYTES["float32"] - 1, "memory", "float16"),
    (2 * VIEW_BYTES["float16"], "memory", "float16"), (2 * VIEW_BYTES["float16"] - 1, "none", "float32"),
])
def test_a_budget_is_kept_and_what_it_changes_said(make_store, budget, mode, dtype):
    store, _, said = make_store("memory", budget_bytes=budget)
    assert (store.mode, store.dtype) == (mode, dtype)
    require_views(store, dtype)
    if dtype == "float16":
        assert said[0].startswith("features: kept as float16, 0.0 MB; float32 would need")
    if mode == "none":
        assert said[0].startswith("features: computed again every epoch; 2 x 10 records need")


def test_a_file_is_no_larger_than_its_header_and_the_view(make_store):
    store = make_store()[0]
    require_views(store)
    assert store.view_bytes("float32") == VIEW_BYTES["float32"]
    assert 0 < os.path.getsize(store.path(0)) - VIEW_BYTES["float32"] < 1024


def test_numbers_that_cannot_be_kept_are_refused(make_store):
    with pytest.raises(RunError, match="features do not fit float16: expected numbers up to 65,504, received"):
        make_store("memory", scale=1e5, dtype="float16")[0].view(0)
    with pytest.raises(RunError, match="features are not finite"):
        make_store("memory", scale=np.nan)[0].view(0)


def test_a_file_is_not_written_for_another_number_of_records(tmp_path):
    with pytest.raises(RunError, match="expected 11 records, received 10"):
        write_view(str(tmp_path / "x"), {}, (11, WIDTH), "float32", [numbers(0)])
    write_view(str(tmp_path / "x"), {}, (10, WIDTH), "float32", [numbers(0)])
    with pytest.raises(UnusableView, match="does not fit"):
        read_view(str(tmp_path / "x"), {}, (10, WIDTH), "float16")


def test_several_labels_of_a_record_are_kept_and_read_back(tmp_path):
    facts, features = {"reading": {"label_width": 3}}, np.arange(8, dtype=np.float32).reshape(4, 2)
    labels = np.arange(12, dtype=np.float32).reshape(4, 3)
    write_view(str(tmp_path / "x"), facts, (4, 2), "float32", [(features[:3], labels[:3]), (features[3:], labels[3:])])
    view = read_view(str(tmp_path / "x"), facts, (4, 2), "float32")
    np.testing.assert_array_equal(view.labels, labels)
    np.testing.assert_array_equal(view.features, features)



def test_a_cache_that_cannot_be_is_refused(make_store, monkeypatch):
    for arguments, message in [(("dsik", "x", 1, "float32", 1), "received cache='dsik'; nearest: disk"),
                               (("disk", None, 1, "float32", 1), "expected a folder for cache=disk, received none"),
                               (("memory", None, 0, "float32", 1), "received cache-budget=0"),
                               (("memory", None, 1, "float32", 0), "received views=0"),
                               (("memory", None, 1, "float64", 1), "received dtype='float64'")]:
        with pytest.raises(InputError, match=message):
            check_cache(*arguments)
    monkeypatch.setattr("mxft.files.whole.shutil.disk_usage", lambda folder: types.SimpleNamespace(free=1000))
    with pytest.raises(InputError, match="the disk is too full for the features"):
        make_store()


def test_facts_of_a_backbone_change_with_its_graph_and_every_parameter(make_checkpoint):
    checkpoint = make_checkpoint()
    backbone = checkpoint.symbol.get_internals()["relu0_output"]
    facts = [backbone_facts(backbone, checkpoint.arg_params, checkpoint.aux_params)]
    args = {name: value.copy() for name, value in checkpoint.arg_params.items()}
    args["fc1_weight"][:] = 0  # not the backbone's
    assert backbone_facts(backbone, args, checkpoint.aux_params) == facts[0]
    for name in ("conv0_weight", "bn0_beta"):
        changed = {**args, name: mx.nd.array(np.nextafter(args[name].asnumpy(), 9))}
        facts.append(backbone_facts(backbone, changed, checkpoint.aux_params))
    facts.append(backbone_facts(backbone, args, {name: value + 1 for name, value in checkpoint.aux_params.items()}))
    facts.append(backbone_facts(checkpoint.symbol.get_internals()["bn0_output"], args, checkpoint.aux_params))
    assert len({facts["backbone"] + facts["parameters"] for facts in facts}) == 5
    assert facts[-1]["parameters"] == facts[0]["parameters"]


def test_extract_view_leaves_out_pads_and_keeps_the_order(make_checkpoint, make_records):
    from mxft.data.iterators import RecordIterator
    from mxft.inference.executor import InferenceExecutor
    from mxft.network.input_spec import InputSpec

    iterator = RecordIterator(make_records("ten.rec", range(10)), InputSpec((3, 8, 8)), 4, 10, threads=1)
    backbone = mx.sym.Flatten(mx.sym.Variable("data"), name="flat")
    done = []
    view = extract_view(InferenceExecutor(backbone, {}, {}, (3, 8, 8), 4), iterator, "float16", done.append)
    assert view.features.shape == (10, 192) and view.features.dtype == np.float16 and done == [4, 4, 2]
    np.testing.assert_array_equal(view.labels, np.arange(10))
    np.testing.assert_array_equal(view.features, np.repeat(np.arange(10)[:, None], 192, axis=1))
