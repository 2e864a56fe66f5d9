"""A network opened as MXNet meant it: old operators, half precision, NHWC and a fixed batch size in today's terms.

Each conversion is a file. It changes the graph and the values that go with it, computes the same, and says in a few
words what it did; what none of them can open is refused by name.
"""
import dataclasses

from mxft.network.conversions.batch_size import free_batch_size
from mxft.network.conversions.constants import declare_constants
from mxft.network.conversions.gamma import set_fixed_gammas
from mxft.network.conversions.layout import to_channels_first
from mxft.network.conversions.one_place import keep_rows
from mxft.network.conversions.operators import renew_operators
from mxft.network.conversions.precision import to_float32
from mxft.network.graph import Graph

# in this order
CONVERSIONS = (renew_operators, to_float32, to_channels_first, free_batch_size, keep_rows, set_fixed_gammas,
               declare_constants)


@dataclasses.dataclass
class Opened:
    """A graph with the values of its parameters, as conversions leave it.

    Parameters
    ----------
    graph : Graph
    values : dict of str to mx.nd.NDArray
        Parameters and auxiliary states by name; empty where only the symbol was read.
    """

    graph: Graph
    values: dict


def as_read(symbol, values):
    """Return parameters as MXNet reads them, for a network that was not opened from files: fixed gammas are 1.

    Parameters
    ----------
    symbol : mx.sym.Symbol
    values : dict of str to mx.nd.NDArray

    Returns
    -------
    dict of str to mx.nd.NDArray
    """
    opened = Opened(Graph(symbol), dict(values))
    set_fixed_gammas(opened)
    return opened.values


def convert(graph, values):
    """Bring a graph that was read into today's terms.

    Parameters
    ----------
    graph : Graph
        Of `mxft.network.graph_file.read_graph`; it is changed.
    values : dict of str to mx.nd.NDArray
        Of the parameters and states; the dict is changed, not the arrays.

    Returns
    -------
    symbol : mx.sym.Symbol
    notes : tuple of str
        What was converted, a few words each: ``"BatchNorm_v1 as BatchNorm (3)"``.

    Raises
    ------
    ValueError
        A layer that cannot be opened, by name.
    """
    opened, notes = Opened(graph, values), []
    for conversion in CONVERSIONS:
        found = conversion(opened)
        if found:
            graph.sort()
            notes += found
    return graph.to_symbol(), tuple(notes)
