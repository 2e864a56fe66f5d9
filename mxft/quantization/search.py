"""Which layers stay in float32: those that cost accuracy, found by bisection."""


def layer_to_leave_out(noise, layers, kept):
    """Return the layer whose int8 costs most, beside those that stay in float32 already.

    Parameters
    ----------
    noise : callable
        Given the layers in float32, how far the network's scores are from those of float32.
    layers : sequence of str
        All of them, in order.
    kept : sequence of str
        In float32 already.

    Returns
    -------
    str

    Notes
    -----
    A group of neighbours is divided in two, and that half is looked into further whose return to float32 helps most:
    two measurements for each halving. The error of a layer is carried on by those after it, so that a group's worth is
    not the sum of its layers'; a single pair that helps only together is not found.

    Examples
    --------
    >>> costs = {"conv0": 1, "conv1": 9, "conv2": 2, "conv3": 4}
    >>> layer_to_leave_out(lambda kept: sum(c for name, c in costs.items() if name not in kept), list(costs), ["conv1"])
    'conv3'
    """
    group = [layer for layer in layers if layer not in kept]
    while len(group) > 1:
        halves = group[:len(group) // 2], group[len(group) // 2:]
        group = min(halves, key=lambda half: noise([*kept, *half]))
    return group[0]
