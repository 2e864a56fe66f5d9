"""Stored and live features come in the batches RecordIterator gives: crops, order, labels, filling."""
import types

import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.iterators import RecordIterator
from mxft.features.extraction import FeatureView
from mxft.features.iterator import FeatureIterator, LiveFeatures
from mxft.features.store import FeatureStore
from mxft.inference.executor import InferenceExecutor
from mxft.network.input_spec import InputSpec

SPEC = InputSpec((3, 8, 8))
RECORDS = 10


@pytest.fixture
def path(make_records):
    rng = np.random.RandomState(0)
    return make_records("ten.rec", range(RECORDS), lambda number, label: rng.randint(0, 256, (12, 12, 3)).astype("u1"))


def executor():
    """A backbone that hands the pixels on."""
    return InferenceExecutor(mx.sym.Flatten(mx.sym.Variable("data"), name="flat"), {}, {}, SPEC.shape, 5)


def epochs(iterator, count):
    """Return [[(data, label, pad) of each batch] of each epoch], read as Module.fit reads."""
    read = []
    for _ in range(count):
        read.append([(batch.data[0].asnumpy().reshape(len(batch.data[0].asnumpy()), -1), batch.label[0].asnumpy(),
                      batch.pad) for batch in iterator])
        iterator.reset()
    return read


def require_same(left, right):
    assert [len(epoch) for epoch in left] == [len(epoch) for epoch in right]
    for one, other in zip(sum(left, []), sum(right, [])):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
        assert one[2] == other[2]


@pytest.mark.parametrize("batch_size", [4, 5, 3])
@pytest.mark.parametrize("kind", ["stored", "live"])
def test_as_many_views_as_epochs_are_the_epochs_of_training(path, kind, batch_size):
    arguments = (path, SPEC, batch_size, RECORDS, 1, True, 7, 1)
    plain = epochs(RecordIterator(*arguments), 3)
    train = RecordIterator(*arguments)
    if kind == "live":
        features = LiveFeatures(executor(), train)
    else:
        features = FeatureIterator(FeatureStore(executor, train.epoch, {}, "memory", views=3), batch_size, seed=7)
    assert features.batches == len(plain[0]) and features.num_records == RECORDS
    assert [tuple(d.shape) for d in (*features.provide_data, *features.provide_label)] == [
        (batch_size, 192), (batch_size,)]
    assert (features.provide_data[0].name, features.provide_label[0].name) == ("data", "softmax_label")
    require_same(epochs(features, 3), plain)
    assert not np.array_equal(plain[0][0][0], plain[1][0][0])


def test_without_augmentation_the_first_epoch_is_the_only_view(path):
    train = RecordIterator(path, SPEC, 4, RECORDS, 0, True, 7, 1)
    assert not train.is_random and RecordIterator(path, SPEC, 4, RECORDS, 1).is_random
    require_same(epochs(train.epoch(3), 1), epochs(train, 1))


def test_facts_name_what_pixels_and_order_depend_on(path):
    def facts(spec=SPEC, batch_size=4, augment=1, shuffle=True, seed=7, threads=1):
        return RecordIterator(path, spec, batch_size, RECORDS, augment, shuffle, seed, threads).facts()

    others = [facts(InputSpec((3, 8, 8), mean=(1.0,) * 3)), facts(InputSpec((3, 9, 8))), facts(augment=2),
              facts(shuffle=False), facts(seed=8), facts(InputSpec((3, 8, 8), resize=12))]
    assert facts() == facts(threads=2) and facts() not in others
    assert path not in repr(facts())


def store_of(records=RECORDS, views=2):
    """Views whose feature is (view, record)."""
    made = [FeatureView(np.stack([np.full(records, view), np.arange(records)], axis=1).astype(np.float16),
                        np.arange(records, dtype=np.float32)) for view in range(views)]
    asked = []
    return types.SimpleNamespace(view=lambda number: asked.append(number) or made[number], asked=asked,
                                 num_records=records, views=views, feature_shape=(2,))


def rows(epoch):
    return np.concatenate([label[:len(label) - pad] for _, label, pad in epoch]).astype(int).tolist()


def test_views_take_turns_and_come_back_in_a_new_order():
    read = epochs(FeatureIterator(store_of(), 4, seed=1), 6)
    assert [sorted({int(view) for data, _, _ in epoch for view in data[:, 0]}) for epoch in read] == [
        [0], [1], [0], [1], [0], [1]]
    orders = [rows(epoch) for epoch in read]
    assert orders[:2] == [list(range(RECORDS))] * 2 and all(sorted(order) == list(range(RECORDS)) for order in orders)
    assert len({tuple(order) for order in orders[1:]}) == 5
    for data, label, _ in sum(read, []):
        assert data.dtype == np.float32 and np.array_equal(data[:, 1], label)
    require_same(read, epochs(FeatureIterator(store_of(), 4, seed=1), 6))
    assert orders[2] != rows(epochs(FeatureIterator(store_of(), 4, seed=2), 3)[2])


@pytest.mark.parametrize("records, batch_size", [(10, 4), (10, 5), (3, 8), (5, 4), (1, 3)])
def test_the_last_batch_is_filled_with_the_epochs_first_records(make_records, records, batch_size):
    path = make_records("some.rec", range(records))
    plain = epochs(RecordIterator(path, SPEC, batch_size, records, threads=1), 2)
    ours = epochs(FeatureIterator(store_of(records, 1), batch_size, shuffle=False), 2)
    assert [[(label.tolist(), pad) for _, label, pad in epoch] for epoch in ours] == [
        [(label.tolist(), pad) for _, label, pad in epoch] for epoch in plain]
    shuffled = epochs(FeatureIterator(store_of(records, 1), batch_size), 2)[1]
    labels, pad = np.concatenate([label for _, label, _ in shuffled]), shuffled[-1][2]
    assert pad == -records % batch_size and labels[records:].tolist() == np.resize(labels[:min(records, batch_size)],
                                                                                 pad).tolist()


def test_a_view_is_asked_for_when_its_epoch_begins():
    store = store_of()
    features = FeatureIterator(store, 4)
    features.reset()
    assert store.asked == []
    epochs(features, 1)
    assert store.asked == [0]
