"""MXNet's operators as PyTorch functions: one small function an operator, the same attributes, the same numbers."""
from mxft.torch.operators import elements, layers, losses, normalisation, pooling, reductions, selection, shapes
from mxft.torch.operators.table import OPERATORS, bound_operator, wants_training

__all__ = ["OPERATORS", "bound_operator", "elements", "layers", "losses", "normalisation", "pooling", "reductions",
           "selection", "shapes", "wants_training"]
