"""An MXNet classifier's graph as a PyTorch module with the same weights, for benchmarks and nothing else."""
import torch
from torch import nn


class Sum(nn.Module):
    """``a + b``."""

    def forward(self, a, b):
        """Return the sum."""
        return a + b


class Affine(nn.Module):
    """``factor·x + shift`` with two numbers."""

    def __init__(self, factor=1.0, shift=0.0):
        super().__init__()
        self.factor, self.shift = factor, shift

    def forward(self, x):
        """Return ``factor·x + shift``."""
        return x * self.factor if self.factor != 1 else x + self.shift


class Twin(nn.Module):
    """A network of convolutions, BatchNorm, ReLU, ReLU6, sums, pooling and a classifier, node for node.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Without its loss, one output.
    arg_params, aux_params : dict of str to mx.nd.NDArray
    """

    def __init__(self, symbol, arg_params, aux_params):
        from mxft.network.graph import Graph  # not of a twin that is loaded again, which needs no MXNet

        super().__init__()
        graph, values = Graph(symbol), {**arg_params, **aux_params}
        self.layers, self.steps = nn.ModuleList(), []
        for node in graph.operators():
            parameters = [torch.from_numpy(values[name].asnumpy().copy())
                          for name in graph.variables_of(node, named_in=values)]
            inputs = [i for i, _ in node.inputs if graph.nodes[i].name not in values]
            self.layers.append(_layer(node, parameters))
            self.steps.append((node.index, inputs))
        self.data = next(node.index for node in graph.nodes if node.is_variable and node.name not in values)
        self.output = graph.heads[0][0]

    def forward(self, images):
        """Return the scores ``(N, classes)`` of float32 images ``(N, C, H, W)``."""
        results = {self.data: images}
        for layer, (index, inputs) in zip(self.layers, self.steps):
            results[index] = layer(*[results[i] for i in inputs])
        return results[self.output]


def _layer(node, parameters):
    makers = {"Convolution": _convolution, "BatchNorm": _batch_norm, "FullyConnected": _linear, "Pooling": _pooling,
              "Pad": _pad, "clip": lambda n, p: nn.Hardtanh(float(n.attrs["a_min"]), float(n.attrs["a_max"])),
              "Activation": lambda n, p: {"relu": nn.ReLU}[n.attrs["act_type"]](),
              "Flatten": lambda n, p: nn.Flatten(), "elemwise_add": lambda n, p: Sum(), "_Plus": lambda n, p: Sum(),
              "_plus": lambda n, p: Sum(), "broadcast_add": lambda n, p: Sum(), "Dropout": lambda n, p: nn.Identity(),
              "_minus_scalar": lambda n, p: Affine(shift=-float(n.attrs["scalar"])),
              "_mul_scalar": lambda n, p: Affine(factor=float(n.attrs["scalar"]))}
    if node.op not in makers:
        raise SystemExit(f"no twin of {node.op}: expected one of {', '.join(sorted(makers))}")
    return makers[node.op](node, parameters)


def _assign(layer, **values):
    for name, value in values.items():
        getattr(layer, name).data = value
    return layer


def _convolution(node, parameters):
    weight, groups = parameters[0], int(node.attrs.get("num_group", 1))
    layer = nn.Conv2d(weight.shape[1] * groups, weight.shape[0], node.numbers("kernel"), node.numbers("stride", (1, 1)),
                      node.numbers("pad", (0, 0)), node.numbers("dilate", (1, 1)), groups, bias=len(parameters) > 1)
    return _assign(layer, **dict(zip(("weight", "bias"), parameters)))


def _batch_norm(node, parameters):
    gamma, beta, mean, var = parameters
    fixed = node.attrs.get("fix_gamma", "True").lower() in ("true", "1")
    layer = nn.BatchNorm2d(len(gamma), eps=float(node.attrs.get("eps", 1e-3)))
    return _assign(layer, weight=torch.ones_like(gamma) if fixed else gamma, bias=beta, running_mean=mean,
                   running_var=var)


def _linear(node, parameters):
    layer = nn.Linear(*reversed(parameters[0].shape), bias=len(parameters) > 1)
    layer = _assign(layer, **dict(zip(("weight", "bias"), parameters)))
    return nn.Sequential(nn.Flatten(), layer) if node.attrs.get("flatten", "True").lower() in ("true", "1") else layer


def _pooling(node, parameters):
    kind = node.attrs.get("pool_type", "max")
    if node.flag("global_pool") and kind == "avg":
        return nn.AdaptiveAvgPool2d(1)
    if kind != "max":
        raise SystemExit(f"no twin of {node.name}: expected global average or max pooling, received pool_type={kind}")
    return nn.MaxPool2d(node.numbers("kernel"), node.numbers("stride", (1, 1)), node.numbers("pad", (0, 0)),
                        ceil_mode=node.attrs.get("pooling_convention") == "full")


def _pad(node, parameters):
    _, _, _, _, top, bottom, left, right = node.numbers("pad_width")
    return nn.ZeroPad2d((left, right, top, bottom))
