"""MXNet's operators as PyTorch functions: one small function an operator, the same attributes, the same numbers."""
from mxft.torch.operators import (
    attention,
    elements,
    layers,
    losses,
    normalisation,
    pooling,
    reductions,
    sampling,
    selection,
    shapes,
)
from mxft.torch.operators.table import OPERATORS, bound_operator, wants_training

__all__ = ["OPERATORS", "attention", "bound_operator", "elements", "layers", "losses", "normalisation", "pooling",
           "reductions", "sampling", "selection", "shapes", "wants_training"]
