"""Streams compute what one executor computes, row by row in order, each with its share of the threads."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.inference import streams
from mxft.inference.engine import push
from mxft.inference.executor import InferenceExecutor
from mxft.inference.streams import Streams, stream_contexts, stream_images

IMAGE = (3, 8, 8)


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")


def images(n, seed=0):
    return np.random.RandomState(seed).normal(size=(n, *IMAGE)).astype(np.float32)


def executor_of(checkpoint, batch_size):
    return InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, IMAGE, batch_size)


def threads_of_worker(context):
    """Return the number of threads the engine's worker for `context` would compute with, asked on that worker."""
    found = []
    push(lambda: found.append(mx.base._LIB.omp_get_max_threads()), context).wait()
    return found[0]


@pytest.mark.parametrize("threads, batch_size, shares", [
    ("2", 32, [1, 1]), ("5", 8, [3, 2]), ("64", 32, [8] * 8), ("64", 256, [4] * 16), ("3,2", 12, [1, 1, 1])])
def test_the_threads_are_divided_between_the_streams(threads, batch_size, shares, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    contexts = stream_contexts(mx.cpu(), batch_size, 1000)
    assert [threads_of_worker(context) for context in contexts] == shares
    assert len({context.device_id for context in contexts}) == len(shares)
    assert mx.cpu() not in contexts


@pytest.mark.parametrize("threads, batch_size, context, parameter_bytes", [
    ("1", 32, mx.cpu(), 1000), ("", 32, mx.cpu(), 1000), ("2", 7, mx.cpu(), 1000), ("2", 32, mx.gpu(0), 1000),
    ("2", 32, mx.cpu(), streams.MEMORY // 4)])
def test_one_thread_few_images_a_gpu_or_a_large_network_are_one_executor(threads, batch_size, context, parameter_bytes,
                                                                         monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert stream_contexts(context, batch_size, parameter_bytes) == [context]


def test_parameters_of_all_streams_stay_within_the_memory(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert len(stream_contexts(mx.cpu(), 64, 100 << 20)) == 6  # a ResNet-50's hundred megabytes


@pytest.mark.parametrize("batch_size, streams, parameter_bytes, images", [
    (32, 1, 100 << 20, 32), (32, 2, 14 << 20, 4), (32, 2, 100 << 20, 16), (64, 6, 100 << 20, 10),
    (128, 2, 100 << 20, 16), (8, 2, 100 << 20, 4)])
def test_a_large_network_gets_more_images_at_a_time(batch_size, streams, parameter_bytes, images):
    assert stream_images(streams, batch_size, parameter_bytes) == images


def test_rows_of_a_large_network_come_back_in_order(make_checkpoint, monkeypatch, two_threads):
    monkeypatch.setattr(streams, "LARGE", 0)
    executor = executor_of(make_checkpoint(), 20)
    assert [len(stream.outputs[0]) for stream in executor._streams.executors] == [10, 10]
    whole = executor.forward(images(20))
    for n in (1, 10, 11, 20):
        np.testing.assert_array_equal(executor.forward(images(20)[:n]), whole[:n])


@pytest.mark.parametrize("n", [1, 4, 9, 16])
@pytest.mark.parametrize("kind", [np.asarray, mx.nd.array])
def test_rows_come_back_in_order(n, kind, make_checkpoint, monkeypatch, two_threads):
    shared_out = executor_of(make_checkpoint(), 16)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = executor_of(make_checkpoint(), 16)
    assert (len(shared_out._streams.executors), len(alone._streams.executors)) == (2, 1)
    assert shared_out.output_shape == alone.output_shape == (16, 3)
    for seed in range(5):
        np.testing.assert_allclose(shared_out.forward(kind(images(n, seed))), alone.forward(kind(images(n, seed))),
                                   atol=1e-6)


def test_new_parameters_reach_every_stream(make_checkpoint, two_threads):
    executor, other = executor_of(make_checkpoint(seed=1), 16), make_checkpoint(seed=2)
    executor.forward(images(16))
    executor.set_params(other.arg_params, other.aux_params)
    np.testing.assert_array_equal(executor.forward(images(16)), executor_of(other, 16).forward(images(16)))


def test_every_stream_is_fused_as_the_only_executor_is(make_checkpoint, two_threads):
    """MXNet fuses on cpu(0) alone; on another CPU number a MobileNet took five times as long."""
    executor = executor_of(make_checkpoint(), 16)
    for stream in executor._streams.executors:
        assert "sg_mkldnn" in stream.debug_str() and "Op:BatchNorm" not in stream.debug_str()


class OneBuffer(mx.io.DataIter):
    """Batches that all lie in one array, filled anew for each, as MXNet's own iterators may do it."""

    def __init__(self, batches):
        super().__init__(len(batches[0]))
        self._batches, self._data = batches, mx.nd.zeros(batches[0].shape)
        self.provide_data = [("data", batches[0].shape)]
        self.reset()

    def reset(self):
        self._next = iter(self._batches)

    def next(self):
        batch = next(self._next)
        self._data[:] = batch
        return mx.io.DataBatch([self._data], [mx.nd.zeros((len(batch),))], pad=0)


def test_an_iterator_may_fill_its_batch_anew(make_checkpoint, two_threads):
    executor, batches = executor_of(make_checkpoint(), 8), [images(8, seed) for seed in range(6)]
    found = [output for output, _ in executor.over(OneBuffer(batches))]
    for output, batch in zip(found, batches):
        np.testing.assert_array_equal(output, executor.forward(batch))
    assert len(found) == 6


def test_images_that_do_not_fit_are_refused(make_checkpoint, two_threads):
    with pytest.raises(InputError, match=r"expected up to 8 of shape \(3, 8, 8\), received shape=\(9, 3, 8, 8\)"):
        executor_of(make_checkpoint(), 8).forward(images(9))


def test_what_fails_in_a_stream_is_raised_where_the_result_is_waited_for_and_the_stream_goes_on(make_checkpoint):
    symbol = make_checkpoint().symbol
    executors = [symbol.simple_bind(mx.cpu(64 + i), grad_req="null", data=(4, *IMAGE), softmax_label=(4,))
                 for i in range(2)]
    both = Streams(executors, "data")
    finish, taken = both.start(np.zeros((4, 3, 5, 5), np.float32))
    taken()
    with pytest.raises(ValueError, match="shape"):
        finish()
    for _ in range(3):
        assert both.start(images(8))[0]()[0].shape == (8, 3)
