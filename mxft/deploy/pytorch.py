"""Checkpoint to a file that PyTorch alone loads (``torch.export``), and only if it computes what the checkpoint does.

https://docs.pytorch.org/docs/stable/export.html
"""
import dataclasses
import io
import os
import warnings

import numpy as np

from mxft.deploy.exported import TOLERANCE, ExportedFile, apart, noise, own_outputs, served_symbol
from mxft.errors import RunError, last_line
from mxft.evaluation.answer import thresholds_of
from mxft.files.whole import whole_file
from mxft.machine.packages import require_packages
from mxft.network.input_spec import InputSpec
from mxft.network.manifest import METADATA, portable_facts


class TorchExport(ExportedFile):
    """What `export_torch` wrote."""


def export_torch(checkpoint, path, image_shape, probe=None, tolerance=TOLERANCE, spec=None):
    """Write a checkpoint as a program of PyTorch that takes what the checkpoint takes.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        Of any MXNet release. A loss becomes what it computes for inference; of a face network in training only the
        embedding serves, see `mxft.deploy.slim.slim`.
    path : str or os.PathLike
        ``NAME.pt2``.
    image_shape : tuple of int
        ``(C, H, W)``.
    probe : numpy.ndarray, optional
        Float32 ``(n, C, H, W)``, preprocessed images to compare on; two of noise, 0 to 255, when None.
    tolerance : float
        How far the outputs may be apart, as a part of the largest.
    spec : InputSpec, optional
        What the network takes, kept in the file; the manifest's when None.

    Returns
    -------
    TorchExport

    Raises
    ------
    InputError
        A network with an operator or attribute that has no PyTorch function, or that gives nothing for an image alone.
        PyTorch is missing.
    RunError
        PyTorch cannot trace it, or computes something else: no file is left.

    Notes
    -----
    ``torch.export.load(path).module()`` is the network, without mxft and mxnet; its ``state_dict`` has the checkpoint's
    names, and ``mxft import --from torch-mxft`` takes it back. It is in evaluation mode for good: to train it in
    PyTorch, moving statistics and losses included, take `mxft.to_torch`. The preprocessing (mean, scale, RGB) is not in
    the program: the file's entry ``mxft`` tells it, as the manifest beside the checkpoint does.

    Examples
    --------
    >>> export_torch(load_checkpoint("runs/photos"), "photos.pt2", (3, 224, 224)).error < 1e-4      # doctest: +SKIP
    True
    """
    require_packages("torch", what="exporting to PyTorch")
    import torch

    probe = noise(InputSpec(tuple(image_shape))) if probe is None else probe
    anatomy = checkpoint.anatomy
    anatomy.output()
    program, any_batch = _traced(served(checkpoint), np.resize(probe, (2, *probe.shape[1:])))
    spec = spec or checkpoint.input_spec
    output = anatomy.output()
    facts = portable_facts(checkpoint.manifest, spec, output.kind, thresholds_of(checkpoint, output)) if spec else None
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA: facts} if facts else None)
    buffer.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = _run(torch.export.load(buffer).module(), probe, any_batch)
    error = max(map(apart, found, own_outputs(served_symbol(checkpoint), checkpoint, probe, any_batch)))
    if not error <= tolerance:
        raise RunError(f"no file was written: expected the checkpoint's output to {tolerance:g} of its largest value, "
                       f"received a difference of {error:.1e} from PyTorch")
    with whole_file(os.fspath(path)) as f:
        f.write(buffer.getvalue())
    return TorchExport(os.fspath(path), error, any_batch, anatomy.image.name,
                       {output.name: one.shape[1:] for output, one in zip(anatomy.served, found)})


def served(checkpoint):
    """Return the MXNetModule of the outputs that an image alone gives, in evaluation mode, without what they need not.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    """
    from mxft.torch import to_torch

    symbol = served_symbol(checkpoint)
    names = set(symbol.list_inputs())
    kept = ({name: value for name, value in values.items() if name in names}
            for values in (checkpoint.arg_params, checkpoint.aux_params))
    return to_torch(dataclasses.replace(checkpoint, **dict(zip(("arg_params", "aux_params"), kept)), symbol=symbol))


def _traced(module, images):
    """Return (program, whether it takes batches of any size)."""
    import torch

    example = (torch.from_numpy(images),)
    batch = {"inputs": ({0: torch.export.Dim("N", min=1)},)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.export.export(module, example, dynamic_shapes=batch), True
        except Exception:  # a batch size that is fixed in the graph is refused in a dozen ways
            try:
                return torch.export.export(module, (example[0][:1],)), False
            except Exception as error:
                raise RunError(f"no file was written: PyTorch cannot trace the network: {last_line(error)}") from None


def _run(module, images, any_batch):
    """Return a program's outputs as a list of arrays over all images."""
    import torch

    batches = [images] if any_batch else [images[i:i + 1] for i in range(len(images))]
    with torch.no_grad():
        found = [module(torch.from_numpy(np.ascontiguousarray(batch))) for batch in batches]
    found = [one if isinstance(one, tuple) else (one,) for one in found]
    return [np.concatenate([part.numpy() for part in parts]) for parts in zip(*found)]
