"""A training of three seconds, in a process of its own: the proof that all of it works together."""
from mxft.doctor.check import BROKEN, OK, SKIPPED, Check
from mxft.doctor.child import ask

SECONDS, LIMIT = 3.0, 120


def smoke(device="cpu", mxnet_loads=True, wanted=True):
    """Train a tiny network on one device; broken where it crashes, hangs or does not learn.

    Parameters
    ----------
    device : str
        ``"cpu"`` or the number of a card.
    mxnet_loads : bool
        Without it nothing is tried.
    wanted : bool
        False for ``--no-smoke``.
    """
    name = "training on the CPU" if device == "cpu" else f"training on card {device}"
    if not wanted:
        return Check(name, SKIPPED, "left out (--no-smoke)")
    if not mxnet_loads:
        return Check(name, SKIPPED, "mxnet does not load")
    answer = ask("training", LIMIT, {"DMLC_ROLE": None}, device=device, seconds=SECONDS)
    if answer.value is None:
        return Check(name, BROKEN, answer.failure, "read the lines above for a cause; MXNET_ENGINE_TYPE=NaiveEngine "
                     "mxft doctor may name the operator that fails")
    done = answer.value
    text = (f"{done['steps']} steps in {done['seconds']:.1f} s, {done['images_per_second']:,} images/s, loss "
            f"{done['first_loss']:.3f} to {done['last_loss']:.3f}")
    if not done["last_loss"] < 0.8 * done["first_loss"]:  # False for nan too
        return Check(name, BROKEN, f"{text}: the loss does not fall", "pip install --force-reinstall --no-deps the "
                     "mxnet package above", done)
    return Check(name, OK, text, facts=done)
