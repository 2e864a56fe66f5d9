"""The proof of freezing: hashes of every parameter before and after, and a refusal to call frozen what has moved."""
import hashlib

import numpy as np

from mxft.errors import RunError


def parameter_hashes(arg_params, aux_params):
    """Return {name: SHA-256 of the array's bytes, as float32 in C order} of arguments and moving statistics.

    Examples
    --------
    >>> from mxft.compat import mx
    >>> parameter_hashes({"w": mx.nd.zeros((2,))}, {})["w"][:8]
    'af5570f5'
    """
    return {name: hashlib.sha256(np.ascontiguousarray(value.asnumpy()).tobytes()).hexdigest()
            for params in (arg_params, aux_params) for name, value in params.items()}


def freeze_proof(symbol, plans, before, after):
    """Compare the hashes of what was frozen in every stage.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    plans : sequence of FreezePlan
    before, after : dict of str to str
        Of `parameter_hashes`; what is new has no `before`.

    Returns
    -------
    dict
        ``{"frozen": n, "parameters": {name: {"frozen": bool, "before": hash, "after": hash}}}``.

    Raises
    ------
    RunError
        Something that was to be frozen is not bit for bit what it was.
    """
    frozen = set(after)
    for plan in plans:
        frozen &= set(plan.frozen) | set(plan.fixed_statistics(symbol)[0])
    frozen = frozen if plans else set()
    moved = sorted(name for name in frozen if before.get(name) != after[name])
    if moved:
        raise RunError(f"freezing failed: expected {len(frozen)} frozen arrays to stay bit for bit, received "
                       f"{len(moved)} that moved: {', '.join(moved[:5])}")
    rows = {name: {"frozen": name in frozen, "before": before.get(name), "after": value}
            for name, value in after.items()}
    return {"frozen": len(frozen), "parameters": rows}
