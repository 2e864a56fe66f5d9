"""The files of a checkpoint written: graph, parameters, manifest, each whole, and never one that fits no other.

The order is chosen for a process that is killed in between: at every moment the files that stand are accepted by
`mxft.network.checkpoint.load_checkpoint`, the old ones or the new, and of a new prefix the parameters appear last.
"""
import contextlib
import errno
import os
import shutil

from mxft.compat import mx
from mxft.errors import InputError, RunError, last_line
from mxft.files.checked_json import content_hash
from mxft.files.whole import whole_file, whole_path
from mxft.network.array_hashes import ArrayHashes
from mxft.network.locating import params_path
from mxft.network.manifest import known_hashes, read_manifest, write_manifest
from mxft.network.params_file import DamagedFile
from mxft.network.saved_hashes import Saved, symbol_hash


def save_files(prefix, epoch, symbol, arg_params, aux_params, manifest):
    """Write the files of a checkpoint; see `mxft.network.checkpoint.Checkpoint.save`.

    Parameters
    ----------
    prefix : str
    epoch : int or str
    symbol : mx.sym.Symbol
    arg_params, aux_params : dict of str to mx.nd.NDArray
    manifest : dict
        ``{}`` leaves the one that stands there as it is, but for its hashes.

    Raises
    ------
    RunError
        A parameter holds NaN or infinity, or the disk is full.
    """
    refuse_non_finite(arg_params, aux_params)
    entries = {f"{kind}:{name}": value.as_in_context(mx.cpu()) for kind, values in (
        ("arg", arg_params), ("aux", aux_params)) for name, value in values.items()}
    try:
        _save(prefix, epoch, symbol.tojson(), entries, manifest)
    except (OSError, mx.base.MXNetError) as error:
        reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else last_line(error)
        raise RunError(f"checkpoint is not saved: expected room for {params_path(prefix, epoch)}, received "
                       f"{reason}") from None


def _save(prefix, epoch, graph, entries, manifest):
    before = _standing(prefix) if manifest else read_manifest(prefix)[0]
    first = before or ({} if os.path.lexists(params_path(prefix, epoch)) else manifest)
    with whole_arrays(params_path(prefix, epoch), entries) as arrays:
        saved = Saved(content_hash(graph), arrays)
        if first:  # from here until the manifest is written again both are right, the old file and the new
            write_manifest(prefix, first, _hashes_of_standing(prefix, epoch).including(epoch, saved), epoch)
        with whole_file(prefix + "-symbol.json", "w") as f:
            f.write(graph)
    if manifest or before:
        write_manifest(prefix, manifest or before, known_hashes(prefix).including(epoch, saved, replace=True))


def _standing(prefix):
    """Return the manifest beside `prefix`; ``{}`` where there is none, or none that can be read."""
    try:
        return read_manifest(prefix, changed=True)[0]
    except InputError:
        return {}


def _hashes_of_standing(prefix, epoch):
    """Return what is known of the files of a prefix, and of those of `epoch` in any case."""
    known, path = known_hashes(prefix), params_path(prefix, epoch)
    if str(epoch) not in known.epochs and os.path.exists(path):
        with contextlib.suppress(DamagedFile):
            return known.including(epoch, Saved(symbol_hash(prefix + "-symbol.json"), ArrayHashes.of_file(path)))
    return known


def save_arrays(path, arrays):
    """Write named arrays as MXNet does, whole or not at all, and return their ArrayHashes.

    Raises
    ------
    OSError
        What was written cannot be read back.
    """
    with whole_arrays(path, arrays) as hashes:
        return hashes


@contextlib.contextmanager
def whole_arrays(path, arrays):
    """Write named arrays as `save_arrays` does, yield their ArrayHashes, and put the file in its place afterwards."""
    with whole_path(path) as temporary:
        try:
            mx.nd.save(temporary, arrays)
            mx.nd.load(temporary)  # mx.nd.save does not notice when the end of the file cannot be written
        except mx.base.MXNetError:
            free = shutil.disk_usage(os.path.dirname(temporary)).free
            raise OSError(errno.EIO, f"a file that was cut short; is the disk full? {free:,} bytes are free") from None
        yield ArrayHashes.of_file(temporary)


def refuse_non_finite(*parameter_sets):
    """Raise RunError naming the first parameter that holds NaN or infinity."""
    name = first_non_finite(*parameter_sets)
    if name is not None:
        raise RunError(f"parameters are not saved: expected finite numbers, received NaN or infinity in {name}")


def first_non_finite(*parameter_sets):
    """Return the name of the first parameter that holds NaN or infinity, or None."""
    return next((name for parameters in parameter_sets for name, value in parameters.items()
                 if not mx.nd.contrib.isfinite(value).min().asscalar()), None)
