"""The second engine: a checkpoint's graph computed by PyTorch, with MXNet's names, attributes and numbers.

``pip install 'mxft[torch]'``. Everything outside of this package stays with MXNet's names and files.
"""
from mxft.machine.packages import require_packages

require_packages("torch", what="PyTorch's engine")
from mxft.torch.conversion import from_torch, to_torch  # noqa: E402
from mxft.torch.module import MXNetModule  # noqa: E402

__all__ = ["MXNetModule", "from_torch", "to_torch"]
