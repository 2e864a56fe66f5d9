"""Repairs of a loaded MXNet 1.9.1: numbers written as text, NDArrays read by NumPy, sums of metrics, updaters' errors.

MXNet hands every parameter of an operator, an iterator and a kvstore to its library as text, by Python's own ``str``.
Since NumPy 2 a tuple or list that holds NumPy's scalars reads ``(np.int64(2), np.int64(3))``, which the library cannot
parse, and since then (NEP 50) a Python float plus a ``numpy.float32`` is a ``numpy.float32``: metrics added up in
float32. Both are repaired where MXNet does it; NumPy itself and its print options stay as they are.
"""
import functools

_WRITERS = ("_ctypes.ndarray", "_ctypes.symbol", "symbol.symbol", "io.io", "kvstore.base", "profiler")
_SUMS = ("sum_metric", "global_sum_metric", "num_inst", "global_num_inst")
_REPAIRED = "_mxft_repaired"


def repair(mxnet):
    """Mend what NumPy 2 broke in a loaded mxnet, and let errors of a kvstore's updater be raised.

    Parameters
    ----------
    mxnet : module

    Notes
    -----
    A second call changes nothing, and what this NumPy did not break is left alone.
    """
    import numpy as np

    if getattr(mxnet, _REPAIRED, False):
        return
    if repr(np.int64(2)) != "2":  # NumPy 2
        _write_numbers_plainly(mxnet)
        _convert_to_numpy(mxnet.nd.NDArray)
    if isinstance(0.0 + np.float32(1), np.float32):
        _add_up_in_float64(mxnet.metric)
    _raise_what_an_updater_raised(mxnet.kvstore.kvstore.KVStore)
    setattr(mxnet, _REPAIRED, True)


def number_text(value):
    """Return ``str(value)`` as before NumPy 2: its scalars inside of tuples and lists are plain numbers.

    Parameters
    ----------
    value : object

    Examples
    --------
    >>> import numpy as np
    >>> number_text((np.int64(2), [np.float32(0.1), True], "a"))
    "(2, [0.1, True], 'a')"
    """
    return _element_text(value) if type(value) in (tuple, list) else str(value)


def _element_text(value):
    import numpy as np

    if type(value) in (tuple, list):
        inner = ", ".join(map(_element_text, value))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, np.generic):
        return repr(str(value)) if isinstance(value, np.str_) else str(value)
    return repr(value)


class _AsStr(type):
    def __call__(cls, value=""):
        return number_text(value)

    def __instancecheck__(cls, value):
        return isinstance(value, str)


class _NumberText(metaclass=_AsStr):
    """``str`` to the modules that write numbers: called, it is `number_text`; as a type it is ``str``."""


def _write_numbers_plainly(mxnet):
    for name in _WRITERS:
        module = functools.reduce(getattr, name.split("."), mxnet)
        module.str = _NumberText


def _convert_to_numpy(ndarray):
    """Let NumPy's functions take an NDArray: it is a sequence of arrays without end, which NumPy 1 cut at 32 levels."""
    def array(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("an NDArray becomes a NumPy array by a copy: expected copy=None or True, received "
                             "copy=False")
        values = self.asnumpy()
        return values if dtype is None else values.astype(dtype, copy=False)

    if not hasattr(ndarray, "__array__"):
        ndarray.__array__ = array


def _add_up_in_float64(metric):
    """Keep the sums of every metric as float64 scalars, whatever is added to them."""
    for name in _SUMS:
        setattr(metric.EvalMetric, name, _Sum(name))
    update = metric.Perplexity.update

    @functools.wraps(update)
    def update_one_by_one(self, labels, preds):
        assert len(labels) == len(preds)
        for label, pred in zip(labels, preds):  # within one call it adds float32 to a Python float
            update(self, [label], [pred])

    metric.Perplexity.update = update_one_by_one


class _Sum:
    """An attribute in which floats of Python and NumPy become ``numpy.float64``; all else is kept as it is."""

    def __init__(self, name):
        self._name = name

    def __get__(self, metric, owner=None):
        if metric is None:
            return self
        try:
            return vars(metric)[self._name]
        except KeyError:
            raise AttributeError(f"{type(metric).__name__!r} object has no attribute {self._name!r}") from None

    def __set__(self, metric, value):
        import numpy as np

        vars(metric)[self._name] = np.float64(value) if isinstance(value, (float, np.floating)) else value


def _raise_what_an_updater_raised(kvstore):
    """Let push and pushpull raise what the updater raised, which ctypes only prints; the updates after it are left out.

    A server has no caller to raise to: there it is printed as before.
    """
    set_updater = kvstore._set_updater

    @functools.wraps(set_updater)
    def set_guarded_updater(self, updater):
        errors = []

        def guarded(key, received, stored):
            if errors:
                return
            try:
                updater(key, received, stored)
            except BaseException as error:  # a Ctrl-C, too
                errors.append(error)

        is_called_here = "dist" not in self.type
        set_updater(self, guarded if is_called_here else updater)
        self._updater, self._updater_errors = updater, errors

    kvstore._set_updater = set_guarded_updater
    for name in ("push", "pushpull"):
        setattr(kvstore, name, _raising(getattr(kvstore, name)))


def _raising(send):
    @functools.wraps(send)
    def send_and_raise(self, *args, **kwargs):
        send(self, *args, **kwargs)
        errors = getattr(self, "_updater_errors", None)
        if errors:
            raise errors.pop()
    return send_and_raise
