"""Optimizers and initializers by the names MXNet knows them by, and the arguments that go with them."""
import inspect

from mxft.compat import mx
from mxft.errors import InputError, nearest


def optimizer_arguments(options, schedule):
    """Return ``optimizer_params`` for ``Module.fit``, refusing what the optimizer does not know.

    Raises
    ------
    InputError
        Unknown optimizer or argument; the nearest names are given.
    """
    known = mx.optimizer.Optimizer.opt_registry
    if options.optimizer.lower() not in known:
        raise InputError(f"optimizer: expected a name MXNet knows, received `optimizer={options.optimizer!r}`; "
                         f"{nearest(options.optimizer.lower(), sorted(known))}")
    accepted = set()
    for base in known[options.optimizer.lower()].__mro__[:-1]:
        accepted |= set(inspect.signature(base.__init__).parameters)
    arguments = {"learning_rate": schedule.base_lr, "lr_scheduler": schedule, "wd": options.wd}
    if options.momentum is not None:
        if "momentum" not in accepted:
            raise InputError(f"optimizer {options.optimizer}: expected no momentum, received "
                             f"`momentum={options.momentum}`")
        arguments["momentum"] = options.momentum
    for name, value in options.optimizer_params.items():
        if name not in accepted - {"self", "kwargs"}:
            raise InputError(f"optimizer {options.optimizer}: unknown argument {name}={value!r}; "
                             f"{nearest(name, sorted(accepted - {'self', 'kwargs'}))}")
        arguments[name] = value
    return arguments


def make_initializer(initializer):
    """Return the initializer of the head by name, as it is, or the tutorial's for None.

    Raises
    ------
    InputError
        Unknown name; the nearest names are given.
    """
    if initializer is None:
        return mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2)
    if not isinstance(initializer, str):
        return initializer
    known = mx.registry.get_registry(mx.init.Initializer)
    if initializer.lower() not in known:
        raise InputError(f"initializer: expected a name MXNet knows, received `initializer={initializer!r}`; "
                         f"{nearest(initializer.lower(), sorted(known))}")
    return mx.init.create(initializer)
