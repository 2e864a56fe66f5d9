"""The inference executor computes what a plain Module computes, with the parameters it has now, each record once."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.iterators import RecordIterator
from mxft.errors import InputError
from mxft.inference.executor import InferenceExecutor
from mxft.network.input_spec import InputSpec

IMAGE = (3, 8, 8)


def images(n, seed=0):
    return np.random.RandomState(seed).normal(size=(n, *IMAGE)).astype(np.float32)


def module_logits(checkpoint, batch):
    """Forward through a Module bound afresh, loss cut off."""
    symbol = checkpoint.symbol.get_internals()["fc1_output"]
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", batch.shape)], for_training=False)
    module.set_params(checkpoint.arg_params, checkpoint.aux_params)
    module.forward(mx.io.DataBatch([mx.nd.array(batch)]), is_train=False)
    return module.get_outputs()[0].asnumpy()


def executor_of(checkpoint, batch_size):
    return InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, IMAGE, batch_size)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_logits_equal_a_plain_modules(make_checkpoint, batch_norm):
    checkpoint = make_checkpoint(batch_norm=batch_norm)
    executor = executor_of(checkpoint, 4)
    assert executor.output_shape == (4, 3)
    for seed in range(3):
        np.testing.assert_allclose(executor.forward(images(4, seed)), module_logits(checkpoint, images(4, seed)),
                                   atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [np.asarray, mx.nd.array])
def test_a_short_batch_gives_its_own_rows(make_checkpoint, kind):
    checkpoint = make_checkpoint()
    executor = executor_of(checkpoint, 5)
    whole = executor.forward(kind(images(5)))
    for n in (1, 2, 4, 5):
        np.testing.assert_array_equal(executor.forward(kind(images(5)[:n])), whole[:n])


def test_new_parameters_take_effect(make_checkpoint):
    """oneDNN's fused executor folds BatchNorm into the convolution once and kept the first weights for ever."""
    first, second = make_checkpoint(seed=1), make_checkpoint(seed=2)
    executor = executor_of(first, 4)
    before = executor.forward(images(4))
    executor.set_params(second.arg_params, second.aux_params)
    after = executor.forward(images(4))
    np.testing.assert_allclose(after, module_logits(second, images(4)), atol=1e-5, rtol=1e-5)
    assert np.abs(after - before).max() > 0.01
    executor.set_params(first.arg_params, first.aux_params)
    np.testing.assert_array_equal(executor.forward(images(4)), before)


@pytest.mark.parametrize("kind, name", [("arg_params", "conv0_weight"), ("arg_params", "bn0_gamma"),
                                        ("aux_params", "bn0_moving_var"), ("arg_params", "fc1_bias")])
def test_one_changed_parameter_takes_effect(make_checkpoint, kind, name):
    checkpoint = make_checkpoint()
    executor = executor_of(checkpoint, 4)
    executor.forward(images(4))
    getattr(checkpoint, kind)[name] = getattr(checkpoint, kind)[name] * 3 + 1
    executor.set_params(checkpoint.arg_params, checkpoint.aux_params)
    np.testing.assert_allclose(executor.forward(images(4)), module_logits(checkpoint, images(4)), atol=1e-4, rtol=1e-5)


def test_parameters_that_are_not_the_networks_are_ignored(make_checkpoint):
    checkpoint = make_checkpoint()
    before = executor_of(checkpoint, 2).forward(images(2))
    checkpoint.arg_params["fc9_weight"] = mx.nd.zeros((2, 2))
    np.testing.assert_array_equal(executor_of(checkpoint, 2).forward(images(2)), before)


@pytest.mark.parametrize("kind, name", [("arg_params", "conv0_weight"), ("aux_params", "bn0_moving_mean")])
def test_a_missing_parameter_is_refused_and_not_taken_for_zeros(make_checkpoint, kind, name):
    checkpoint = make_checkpoint()
    del getattr(checkpoint, kind)[name]
    with pytest.raises(InputError, match=f"checkpoint is not complete: expected every parameter, received none for "
                                         f"{name} .1 in all.; nearest: "):
        executor_of(checkpoint, 2)


def test_a_parameter_of_another_shape_is_refused(make_checkpoint):
    checkpoint = make_checkpoint()
    checkpoint.arg_params["fc1_weight"] = mx.nd.zeros((4, 6))
    with pytest.raises(InputError, match=r"expected fc1_weight of shape \(3, 6\), received \(4, 6\)"):
        executor_of(checkpoint, 2)


def test_images_the_network_cannot_take_are_refused():
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(9, 9), num_filter=2, name="conv0")
    net = mx.sym.FullyConnected(mx.sym.Flatten(net), num_hidden=2, name="fc1")
    with pytest.raises(InputError, match=r"network does not take this input: .* received image-shape=\(3, 8, 8\)"):
        InferenceExecutor(net, {}, {}, IMAGE, 2)


@pytest.mark.parametrize("n, batch_size", [(8, 4), (9, 4), (11, 4), (3, 4), (1, 1)])
def test_each_record_is_counted_once_and_in_order(make_checkpoint, make_records, n, batch_size):
    checkpoint, path = make_checkpoint(), make_records("a.rec", range(n))
    iterator = RecordIterator(path, InputSpec(IMAGE), batch_size, n, threads=1)
    executor, counts = executor_of(checkpoint, batch_size), []
    constant = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None, None], (n, *IMAGE))
    for _ in range(2):  # over() begins anew each time
        outputs, labels = zip(*executor.over(iterator, counts.append))
        np.testing.assert_array_equal(np.concatenate(labels), np.arange(n))
        np.testing.assert_allclose(np.concatenate(outputs), module_logits(checkpoint, constant), atol=1e-4, rtol=1e-5)
    assert sum(counts) == 2 * n


def test_the_bound_graph_is_rewritten_and_the_numbers_stay(make_face_checkpoint):
    face = make_face_checkpoint()
    before, options = face.symbol.tojson(), (face.symbol, face.arg_params, face.aux_params, (3, 16, 16), 3)
    ours, plain = InferenceExecutor(*options), InferenceExecutor(*options, rewrite=False)
    assert ours.applied == ("scalar", "batch_norm", "prelu") and plain.applied == ()
    batch = np.random.RandomState(0).uniform(0, 255, (3, 3, 16, 16)).astype(np.float32)
    assert face.symbol.tojson() == before
    np.testing.assert_allclose(ours.forward(batch), plain.forward(batch), rtol=1e-5, atol=1e-6)


def test_what_follows_a_batch_does_not_change_its_output(make_checkpoint):
    """The executor's output is written over by the next forward: what was given out must not be."""
    executor = executor_of(make_checkpoint(), 4)
    first = executor.forward(images(4))
    kept = first.copy()
    executor.forward(images(4, seed=1))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("shape", [(5, *IMAGE), (2, 3, 8, 9), (2, 1, 8, 8), (3, 8, 8)])
def test_images_of_another_shape_are_refused_and_not_broadcast(make_checkpoint, shape):
    with pytest.raises(InputError, match=r"images do not fit the executor: expected up to 4 of shape \(3, 8, 8\), "
                                         rf"received shape=\({shape[0]}, "):
        executor_of(make_checkpoint(), 4).forward(np.zeros(shape, np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_other_number_types_are_taken(make_checkpoint, dtype):
    executor, batch = executor_of(make_checkpoint(), 2), np.arange(2 * 3 * 64).reshape(2, *IMAGE) % 251
    np.testing.assert_array_equal(executor.forward(batch.astype(dtype)), executor.forward(batch.astype(np.float32)))


class Recorded(mx.io.NDArrayIter):
    """Notes when each batch is asked for."""

    def __init__(self, events, *args):
        super().__init__(*args)
        self.events = events

    def next(self):
        self.events.append("next")
        return super().next()


def test_the_next_batch_is_started_before_the_last_is_given_out(make_checkpoint):
    executor, events = executor_of(make_checkpoint(), 2), []
    data, labels = images(5), np.arange(5)
    for output, label in executor.over(Recorded(events, data, labels, 2), lambda n: events.append(n)):
        events.append("given")
        np.testing.assert_allclose(output, executor_of(make_checkpoint(), 5).forward(data)[label.astype(int)],
                                   rtol=1e-5, atol=1e-6)
    assert events == ["next", "next", "given", 2, "next", "given", 2, "next", "given", 1]


def test_an_iterator_of_nothing_gives_nothing(make_checkpoint):
    class Empty(mx.io.DataIter):
        def next(self):
            raise StopIteration

    assert list(executor_of(make_checkpoint(), 2).over(Empty())) == []
