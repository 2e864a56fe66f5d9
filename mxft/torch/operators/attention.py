"""Products of queries, keys and values that lie side by side (src/operator/contrib/transformer.cc)."""
import torch

from mxft.torch.operators.table import operator


def _heads(x, heads, parts):
    """Return `parts` arrays (batch x heads, steps, width) of one (steps, batch, heads x parts x width)."""
    steps, batch, width = x.shape
    x = x.reshape(steps, batch * heads, parts, width // heads // parts).permute(2, 1, 0, 3)
    return tuple(x[part] for part in range(parts))


def _scores(queries, keys):
    return torch.matmul(queries / queries.shape[-1] ** 0.5, keys.transpose(1, 2))


def _weighted(attention, values, heads):
    found = torch.matmul(attention, values).permute(1, 0, 2)  # (steps, batch x heads, width)
    return found.reshape(found.shape[0], found.shape[1] // heads, -1)


@operator("_contrib_interleaved_matmul_selfatt_qk")
def self_attention_scores(x, *, heads):
    """Return queries times keys, scaled."""
    queries, keys, _ = _heads(x, heads, 3)
    return _scores(queries, keys)


@operator("_contrib_interleaved_matmul_selfatt_valatt")
def self_attention_values(x, attention, *, heads):
    """Return the values, weighted."""
    return _weighted(attention, _heads(x, heads, 3)[2], heads)


@operator("_contrib_interleaved_matmul_encdec_qk")
def attention_scores(queries, x, *, heads):
    """Return queries times the keys of another sequence, scaled."""
    return _scores(_heads(queries, heads, 1)[0], _heads(x, heads, 2)[0])


@operator("_contrib_interleaved_matmul_encdec_valatt")
def attention_values(x, attention, *, heads):
    """Return the values of another sequence, weighted."""
    return _weighted(attention, _heads(x, heads, 2)[1], heads)
