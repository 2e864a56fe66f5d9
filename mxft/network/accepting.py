"""The files of a checkpoint recorded as they are: after a manifest was edited, or other software wrote parameters."""
import os

from mxft.errors import InputError
from mxft.files.checked_json import ChangedContent
from mxft.network.array_hashes import ArrayHashes, name_arrays
from mxft.network.checkpoint import first_non_finite, load_params, load_symbol
from mxft.network.locating import params_path, parse_model
from mxft.network.manifest import manifest_path, read_manifest, write_manifest
from mxft.network.saved_hashes import Saved, symbol_hash


def accept_files(model):
    """Make the hashes in a manifest those of the files beside it.

    Parameters
    ----------
    model : str
        ``"prefix,epoch"``.

    Returns
    -------
    list of str
        What was found, a line for manifest, symbol and parameters.

    Raises
    ------
    InputError
        There is no manifest, or one of the files cannot be read or holds NaN: such files are not accepted.

    Notes
    -----
    Only the parameters of this one epoch are read.
    """
    prefix, epoch = parse_model(model)
    path, symbol_path = params_path(prefix, epoch), prefix + "-symbol.json"
    if not os.path.exists(manifest_path(prefix)):
        raise InputError(f"nothing to accept: expected a manifest, received model={model!r} without "
                         f"{manifest_path(prefix)}; without one the files are not compared with anything")
    lines = [f"manifest: {'unchanged' if _is_intact(prefix) else 'accepted as it is'}"]
    manifest, hashes = read_manifest(prefix, changed=True)
    name = first_non_finite(*load_params(path, load_symbol(symbol_path)))
    if name is not None:
        raise InputError(f"parameters are not accepted: expected finite numbers, received NaN or infinity in {name} "
                         f"of {path}")
    before, found = hashes.epochs.get(str(epoch), ()), Saved(symbol_hash(symbol_path), ArrayHashes.of_file(path))
    lines.append(f"symbol: {_told(before, [one.symbol == found.symbol for one in before], 'recorded as it is')}")
    differing = min((one.arrays.differing(found.arrays) for one in before), key=len, default=[])
    lines.append(f"parameters of {epoch}: " + _told(before, [not differing], f"recorded as they are, "
                                                    f"{len(differing)} differ: {name_arrays(differing)}"))
    write_manifest(prefix, manifest, hashes.including(epoch, found, replace=True))
    return lines


def _told(before, same, changed):
    return "recorded for the first time" if not before else "unchanged" if any(same) else changed


def _is_intact(prefix):
    try:
        read_manifest(prefix)
    except ChangedContent:
        return False
    return True
