"""Learning-rate schedules in epochs, turned into the updates MXNet's schedulers count."""
from mxft.compat import mx
from mxft.errors import InputError, nearest
from mxft.options import SCHEDULES, STEP_FACTOR


def learning_rate_schedule(name, learning_rate, epochs, updates_per_epoch, steps=(), factor=None,
                           warmup_epochs=0.0):
    """Make an ``mx.lr_scheduler``.

    Parameters
    ----------
    name : {"constant", "step", "cosine"}
        ``step`` multiplies by `factor` at each epoch of `steps`; ``cosine`` falls to 0 at the end.
    learning_rate : float
        The rate after the warm-up.
    epochs, updates_per_epoch : int
    steps : sequence of float
        Epochs, for ``step``.
    factor : float, optional
        `STEP_FACTOR` when None.
    warmup_epochs : float
        Epochs of linear growth from 0 before anything else; 0 for none.

    Returns
    -------
    mx.lr_scheduler.LRScheduler

    Raises
    ------
    InputError
        Unknown name, steps that are missing, not growing or behind the last epoch, a rate or factor out of range.

    Examples
    --------
    >>> rate = learning_rate_schedule("step", 0.1, epochs=3, updates_per_epoch=10, steps=[2])
    >>> [round(rate(update), 3) for update in (1, 20, 21, 30)]
    [0.1, 0.1, 0.01, 0.01]
    """
    if name not in SCHEDULES:
        raise InputError(f"`schedule`: expected one of {', '.join(SCHEDULES)}, received `schedule={name!r}`; "
                         f"{nearest(str(name), SCHEDULES)}")
    if not learning_rate >= 0 or learning_rate == float("inf"):
        raise InputError(f"learning rate: expected a finite number of at least 0, received "
                         f"`learning_rate={learning_rate}`")
    if not 0 <= warmup_epochs < epochs:
        raise InputError(f"warm-up: expected at least 0 and fewer than {epochs} epochs, received "
                         f"`warmup_epochs={warmup_epochs}`")
    total = epochs * updates_per_epoch
    warmup = min(round(warmup_epochs * updates_per_epoch), total - 1)
    common = {"base_lr": learning_rate, "warmup_steps": warmup, "warmup_begin_lr": 0}
    if name == "cosine":
        return mx.lr_scheduler.CosineScheduler(max_update=total, final_lr=0, **common)
    if name == "constant":
        return mx.lr_scheduler.FactorScheduler(step=total + 1, factor=1, stop_factor_lr=0, **common)
    factor = STEP_FACTOR if factor is None else factor
    if not 0 < factor <= 1:
        raise InputError(f"step schedule: expected a factor above 0 and of at most 1, received "
                         f"`lr_factor={factor}`")
    updates = _updates(steps, epochs, updates_per_epoch)
    return mx.lr_scheduler.MultiFactorScheduler(step=updates, factor=factor, **common)


def _updates(steps, epochs, updates_per_epoch):
    updates = [max(1, round(step * updates_per_epoch)) for step in steps]
    if not steps or any(b <= a for a, b in zip(updates, updates[1:])) or not 0 < steps[0] <= steps[-1] < epochs:
        raise InputError(f"step schedule: expected growing epochs between 0 and {epochs}, an update or more apart, "
                         f"received `lr_steps={tuple(steps)}`")
    return updates
