"""What an optimizer remembers between two updates, as numbers: momenta and counts, nothing that is to be unpickled."""
from mxft.errors import InputError


def optimizer_state(module):
    """Return what the optimizer of a Module in training remembers.

    Parameters
    ----------
    module : mx.mod.Module
        With a kvstore of its own, or none, or one whose servers only sum: what ``dist_async``'s servers remember is
        not here.

    Returns
    -------
    facts : dict
        For JSON: update counts, and whatever else the optimizer keeps as a number.
    arrays : dict of str to mx.nd.NDArray
        ``optimizer:INDEX`` or ``optimizer:INDEX:PART``, as many parts as the optimizer has for a parameter. Where each
        device updates its own copy, all remember the same: it is the first device's.
    """
    updater, devices = _updater(module), _updating_devices(module)
    optimizer, arrays = updater.optimizer, {}
    for index, state in updater.states.items():
        if devices > 1 and isinstance(index, int):
            index, device = divmod(index, devices)
            if device:
                continue
        if not isinstance(state, (tuple, list)):
            state, names = (state,), [f"optimizer:{index}"]
        else:
            names = [f"optimizer:{index}:{part}" for part in range(len(state))]
        arrays.update({name: array for name, array in zip(names, state) if array is not None})
    numbers = {name: value for name, value in vars(optimizer).items()
               if isinstance(value, (int, float)) and not isinstance(value, bool)}
    counts = {str(device): {str(index): count for index, count in of_device.items()}
              for device, of_device in optimizer._all_index_update_counts.items()}
    return {"numbers": numbers, "counts": counts}, arrays


def restore_optimizer(module, facts, arrays):
    """Give a Module's fresh optimizer what `optimizer_state` returned of another."""
    updater, devices = _updater(module), _updating_devices(module)
    optimizer, parts = updater.optimizer, {}
    for name, array in arrays.items():
        kind, index, *part = name.split(":")
        if kind == "optimizer":
            parts.setdefault(_index(index), {})[int(part[0]) if part else None] = array
    for index, of_index in parts.items():
        whole = of_index.get(None)
        copies = devices if isinstance(index, int) else 1  # a shard of fc7 is on one device, under a name
        for own in range(index * copies, (index + 1) * copies) if copies > 1 else [index]:
            updater.states[own] = whole.copy() if whole is not None else tuple(
                of_index[part].copy() if part in of_index else None for part in range(max(of_index) + 1))
            updater.states_synced[own] = False  # the updater moves them to where the parameter lies
    if not _is_state_of(optimizer, facts):
        raise InputError("state: expected what the optimizer keeps between two updates, received something else, a "
                         "damaged state; start again with another `run`")
    vars(optimizer).update(facts["numbers"])
    for device, counts in facts["counts"].items():
        of_device = optimizer._all_index_update_counts.setdefault(int(device), {})
        of_device.update({_index(index): count for index, count in counts.items()})


def _is_state_of(optimizer, facts):
    """Whether facts have the form `optimizer_state` gives them: numbers this optimizer has, counts by device."""
    numbers, counts = facts.get("numbers"), facts.get("counts")
    if not isinstance(numbers, dict) or not isinstance(counts, dict):
        return False
    return (all(_is_number(vars(optimizer).get(name)) and _is_number(value) for name, value in numbers.items())
            and all(device.isdecimal() and isinstance(of_device, dict) and all(map(_is_number, of_device.values()))
                    for device, of_device in counts.items()))


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _updater(module):
    """Return what applies the updates: the kvstore's, or the module's own."""
    return module._kvstore._updater if module._update_on_kvstore else module._updater


def _updating_devices(module):
    """Return how many devices update a copy of their own: Module numbers what is remembered of copy k ``i * n + k``."""
    return 1 if module._update_on_kvstore else len(module._context)


def _index(text):
    """Return an index as the updater has it: a number, or a parameter's name."""
    return int(text) if text.isdecimal() else text
