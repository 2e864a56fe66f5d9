"""An MXNet network as a ``torch.nn.Module``: its graph, operator by operator, with MXNet's names for every array."""
import torch
from torch import nn

from mxft.errors import InputError
from mxft.torch.operators import bound_operator, wants_training


class MXNetModule(nn.Module):
    """A graph of MXNet's operators that PyTorch computes.

    Parameters
    ----------
    graph : mxft.network.graph.Graph
    arg_params, aux_params : dict of str to numpy.ndarray
        The parameters and the auxiliary states (moving mean and variance); every other variable is an input.

    Attributes
    ----------
    inputs : tuple of str
        What `forward` takes, in this order: ``("data",)``, ``("data", "softmax_label")``.
    outputs : int
        How many arrays it returns; one alone is returned as it is, several as a tuple.

    Raises
    ------
    InputError
        An operator or an attribute without a PyTorch function; a parameter's name that PyTorch reserves.

    Notes
    -----
    ``state_dict`` has MXNet's names as they are: a dot in one makes a submodule, as PyTorch writes them.
    ``train()`` and ``eval()`` mean what ``is_train`` means in MXNet: BatchNorm, dropout. The gradient of an MXNet loss
    starts at its output with ones, see `mxft.torch.operators.losses`; a label that is left out is None, and a loss then
    gives what it gives at inference. An array is freed when no operator will read it any more.
    """

    def __init__(self, graph, arg_params, aux_params):
        super().__init__()
        self._operators = graph.operators()
        values = {**arg_params, **aux_params}
        order = {node.index: place for place, node in enumerate(graph.nodes)}
        self.inputs = tuple(node.name for node in graph.nodes if node.is_variable and node.name not in values)
        self._variables = [(order[node.index], node.name) for node in graph.nodes if node.is_variable]
        self._edges = [(order[node.index], [(order[i], output) for i, output in node.inputs])
                       for node in self._operators]
        self._heads = [(order[i], output) for i, output in graph.heads]
        self._bind()
        self._unread = _last_readers(self._edges, self._heads)
        self.outputs = len(self._heads)
        for name, value in arg_params.items():  # last: what stands already is no parameter's name
            _place(self, name, nn.Parameter(_tensor(value)))
        for name, value in aux_params.items():
            _place(self, name, _tensor(value))

    def forward(self, *inputs, **named):
        """Compute the network.

        Parameters
        ----------
        *inputs, **named : torch.Tensor
            By `inputs`' order or names: images float32 ``(N, C, H, W)`` as the checkpoint takes them, labels ``(N,)``.

        Returns
        -------
        torch.Tensor or tuple of torch.Tensor

        Raises
        ------
        InputError
            More arrays than the network has inputs, one under another name, or none at all.
        """
        given = self._given(inputs, named)
        values = {}
        for place, name in self._variables:
            values[place] = (given.get(name) if name in self.inputs else _found(self, name),)
        for (place, edges), function, trains, unread in zip(self._edges, self._functions, self._trains, self._unread):
            arguments = [values[source][output] for source, output in edges]
            result = function(*arguments, training=self.training) if trains else function(*arguments)
            if not edges:  # an array made of nothing
                result = result.to(next(value.device for value in given.values() if value is not None))
            values[place] = result if isinstance(result, tuple) else (result,)
            for source in unread:
                del values[source]
        results = tuple(values[source][output] for source, output in self._heads)
        return results[0] if len(results) == 1 else results

    def _given(self, inputs, named):
        given = {**dict(zip(self.inputs, inputs)), **named}
        if len(given) < len(inputs) + len(named) or not given.keys() <= set(self.inputs):
            raise InputError(f"torch: expected the inputs {', '.join(self.inputs)}, each once, received "
                             f"{', '.join((*(f'number {i + 1}' for i in range(len(inputs))), *named))}")
        if all(value is None for value in given.values()):
            raise InputError(f"torch: expected the inputs {', '.join(self.inputs)}, received none")
        return given

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name not in ("_functions", "_trains")}

    def __setstate__(self, state):
        super().__setstate__(state)
        self._bind()

    def _bind(self):
        self._functions = [bound_operator(node) for node in self._operators]
        self._trains = [wants_training(function.func) for function in self._functions]

    def extra_repr(self):
        """Return the inputs and how many operators there are."""
        return f"inputs: {', '.join(self.inputs)}; {len(self._edges)} operators"


def _tensor(value):
    return torch.from_numpy(value.copy(order="C"))


def _last_readers(edges, heads):
    """Return, for each operator, what no later one reads."""
    last = {}
    for step, (place, sources) in enumerate(edges):
        last[place] = step
        last.update((source, step) for source, _ in sources)
    kept = {source for source, _ in heads}
    unread = [[] for _ in edges]
    for source, step in last.items():
        if source not in kept:
            unread[step].append(source)
    return unread


def _place(module, name, value):
    """Register a parameter or buffer under its name, in submodules where it has dots."""
    *path, own = name.split(".")
    for part in path:
        child = module._modules.get(part)
        if child is None:
            child = _registered(module.add_module, part, nn.Module(), name) or module._modules[part]
        module = child
    register = module.register_parameter if isinstance(value, nn.Parameter) else module.register_buffer
    _registered(register, own, value, name)


def _registered(register, own, value, name):
    try:
        return register(own, value)
    except (KeyError, TypeError) as error:
        raise InputError(f"torch: expected a parameter's name that PyTorch allows, received {name} ({error.args[0]})"
                         ) from None


def _found(module, name):
    *path, own = name.split(".")
    for part in path:
        module = module._modules[part]
    return module._parameters[own] if own in module._parameters else module._buffers[own]
