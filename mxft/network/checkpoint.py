"""Checkpoint = symbol + parameters + manifest: ``"prefix,epoch"`` in, an atomic save out.

On disk these are the files every MXNet program reads (``mx.model.load_checkpoint``), ``prefix-symbol.json`` and
``prefix-%04d.params``, and beside them ``prefix-manifest.json`` with what the numbers alone do not tell.
"""
import dataclasses
import errno
import glob
import json
import os
import re
import shutil

from mxft.compat import mx
from mxft.errors import InputError, MissingFileError, RunError, last_line, nearest
from mxft.files.whole import require_file, sha256, whole_file, whole_path, write_json
from mxft.machine.quiet import quiet_native
from mxft.network.input_spec import InputSpec
from mxft.network.manifest import load_manifest
from mxft.network.params_file import check_params_file


@dataclasses.dataclass
class Checkpoint:
    """A network and its parameters.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        The graph, loss included where it was saved with one.
    arg_params, aux_params : dict of str to mx.nd.NDArray
        Learned parameters and BatchNorm's moving statistics.
    manifest : dict
        Classes, input, head, parent, data, metrics, versions; ``{}`` for a checkpoint that came without one.
    name : str
        ``"prefix,epoch"``, or a short description of one that was made.
    on_disk : bool
        Whether `name` is where it was read from.
    """

    symbol: object
    arg_params: dict
    aux_params: dict
    manifest: dict = dataclasses.field(default_factory=dict)
    name: str = "(unnamed)"
    on_disk: bool = False

    @property
    def input_spec(self):
        """The manifest's InputSpec, or None where there is no manifest."""
        entry = self.manifest.get("input")
        return InputSpec.from_dict(entry) if entry else None

    @property
    def classes(self):
        """Class names in label order, or None."""
        return self.manifest.get("classes")

    def save(self, prefix, epoch):
        """Write symbol, parameters and manifest under `prefix`, each whole or not at all.

        Parameters
        ----------
        prefix : str
            Path without ``-symbol.json``.
        epoch : int or str
            A number becomes four digits; a word such as ``"best"`` is used as it is.

        Returns
        -------
        str
            ``"prefix,epoch"``, ready to be passed on.

        Raises
        ------
        RunError
            A parameter holds NaN or infinity, or the disk is full: what stood there before is untouched.
        """
        refuse_non_finite(self.arg_params, self.aux_params)
        try:
            with whole_file(prefix + "-symbol.json", "w") as f:
                f.write(self.symbol.tojson())
            self._save_params(params_path(prefix, epoch))
            if self.manifest:
                write_json(prefix + "-manifest.json", self.manifest)
        except (OSError, mx.base.MXNetError) as error:
            reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else last_line(error)
            raise RunError(f"checkpoint is not saved: expected room for {params_path(prefix, epoch)}, received "
                           f"{reason}") from None
        return f"{prefix},{epoch}"

    def _save_params(self, path):
        entries = {"arg:" + k: v.as_in_context(mx.cpu()) for k, v in self.arg_params.items()}
        entries.update({"aux:" + k: v.as_in_context(mx.cpu()) for k, v in self.aux_params.items()})
        save_arrays(path, entries)


def save_arrays(path, arrays):
    """Write named arrays as MXNet does, whole or not at all; OSError where what was written cannot be read back."""
    with whole_path(path) as temporary:
        try:
            mx.nd.save(temporary, arrays)
            mx.nd.load(temporary)  # mx.nd.save does not notice when the end of the file cannot be written
        except mx.base.MXNetError:
            free = shutil.disk_usage(os.path.dirname(temporary)).free
            raise OSError(errno.EIO, f"a file that was cut short; is the disk full? {free:,} bytes are free") from None


def refuse_non_finite(*parameter_sets):
    """Raise RunError naming the first parameter that holds NaN or infinity."""
    name = first_non_finite(*parameter_sets)
    if name is not None:
        raise RunError(f"parameters are not saved: expected finite numbers, received NaN or infinity in {name}")


def first_non_finite(*parameter_sets):
    """Return the name of the first parameter that holds NaN or infinity, or None."""
    return next((name for parameters in parameter_sets for name, value in parameters.items()
                 if not mx.nd.contrib.isfinite(value).min().asscalar()), None)


def params_path(prefix, epoch):
    """Return ``prefix-0000.params`` for a number, ``prefix-best.params`` for a word."""
    return f"{prefix}-{epoch:04d}.params" if isinstance(epoch, int) else f"{prefix}-{epoch}.params"


def require_free_prefix(prefix, epoch, force, flag):
    """Refuse (InputError) a prefix that is a folder, or that has files already unless forced; `flag` names another."""
    if not os.path.basename(prefix):
        raise InputError("output name: expected a folder and the beginning of the files' names, received "
                         f"{prefix!r}; try {os.path.join(prefix, 'model')}")
    standing = [path for path in (prefix + "-symbol.json", params_path(prefix, epoch)) if os.path.lexists(path)]
    if standing and not force:
        raise InputError(f"output name: expected one that is free, received {prefix!r} where {standing[0]} stands; "
                         f"--force replaces it, {flag} chooses another")


def saved_epochs(prefix):
    """Return the epochs that exist for `prefix`, as they are typed: ``["0", "8", "best"]``."""
    found = []
    for path in sorted(glob.glob(glob.escape(prefix) + "-*.params")):
        word = path[len(prefix) + 1:-len(".params")]
        found.append(str(int(word)) if word.isdecimal() else word)
    return found


def parse_model(text):
    """Split ``"prefix,epoch"`` into its parts; blanks after the comma are fine, a run folder means its best epoch.

    Parameters
    ----------
    text : str
        ``"prefix,epoch"`` (``"../model-r100, 287"``, ``"runs/a/model,best"``), or the folder of a run.

    Returns
    -------
    prefix : str
    epoch : int or str

    Raises
    ------
    InputError
        There is no epoch; the message lists those that exist.

    Examples
    --------
    >>> parse_model("../model-r100, 287")
    ('../model-r100', 287)
    """
    prefix, comma, word = text.rpartition(",")
    if comma and prefix.strip() and re.fullmatch(r"\w+", word.strip()):
        word = word.strip()
        return os.path.expanduser(prefix.strip()), int(word) if word.isdecimal() else word
    prefix = os.path.expanduser(text.strip())
    if os.path.isdir(prefix) and os.path.exists(os.path.join(prefix, "model-symbol.json")):
        prefix = os.path.join(prefix, "model")
        epochs = saved_epochs(prefix)
        if epochs:
            epoch = "best" if "best" in epochs else epochs[-1]
            return prefix, int(epoch) if epoch.isdecimal() else epoch
    epochs = saved_epochs(prefix)
    known = f"; epochs there: {', '.join(epochs)}: try {prefix},{epochs[-1]}" if epochs else _near_prefixes(prefix)
    raise InputError(f"model: expected 'prefix,epoch', received model={text!r}{known}")


def _near_prefixes(prefix):
    folder = os.path.dirname(prefix) or "."
    if not os.path.isdir(folder):
        return f"; folder {folder} does not exist"
    prefixes = [name[:-len("-symbol.json")] for name in sorted(os.listdir(folder)) if name.endswith("-symbol.json")]
    return f"; checkpoints in {folder}: {nearest(os.path.basename(prefix), prefixes)}"


def load_symbol(path):
    """Read a symbol JSON of any MXNet release.

    Raises
    ------
    InputError
        The file is missing, is not JSON, or is not an MXNet graph.
    """
    require_file(path, "symbol")
    try:
        with open(path, encoding="utf-8") as f:
            graph = json.load(f)
        if not isinstance(graph, dict) or "nodes" not in graph:
            raise ValueError("no 'nodes'")
    except (ValueError, RecursionError) as error:
        with open(path, "rb") as f:
            start = f.read(40)
        raise InputError(f"symbol cannot be read: expected an MXNet graph in JSON, received {path} beginning "
                         f"{start!r} ({error})") from None
    try:
        with quiet_native():
            return mx.sym.load(path)
    except mx.base.MXNetError as error:
        raise InputError(f"symbol cannot be read: expected a graph MXNet {mx.__version__} can build, received {path}: "
                         f"{last_line(error)}") from None


def load_params(path, symbol=None):
    """Read a ``.params`` file into (arg_params, aux_params).

    Parameters
    ----------
    path : str
        Module format (``arg:``/``aux:`` names) or Gluon format (bare names).
    symbol : mx.sym.Symbol, optional
        Needed for bare names: tells arguments from auxiliary states.

    Raises
    ------
    MissingFileError, InputError
        The file is missing (epochs that exist are listed), cut short, or not a parameter file.
    """
    if not os.path.isfile(path):
        prefix = re.sub(r"-[^-]*\.params$", "", path)
        epochs = saved_epochs(prefix)
        hint = f"epochs there: {', '.join(epochs)}" if epochs else "no epoch of that prefix exists"
        raise MissingFileError(f"parameters are missing: expected a file, received {path!r}; {hint}")
    try:
        check_params_file(path)
        entries = mx.nd.load(path)
    except (ValueError, mx.base.MXNetError) as error:
        raise InputError(f"parameters cannot be read: expected a whole MXNet parameter file, received {path} of "
                         f"{os.path.getsize(path)} bytes, cut short or not one ({last_line(error)}); copy or "
                         "download it again") from None
    if not isinstance(entries, dict):
        raise InputError(f"parameters cannot be read: expected named arrays, received {path} with "
                         f"{len(entries)} arrays without names")
    return _split_entries(entries, path, symbol)


def _split_entries(entries, path, symbol):
    arg_params, aux_params, bare = {}, {}, {}
    for key, value in entries.items():
        kind, colon, name = key.partition(":")
        {"arg": arg_params, "aux": aux_params}.get(kind if colon else "", bare)[name if colon else key] = value
    if bare:
        if symbol is None:
            raise InputError(f"parameters of {path}: expected names beginning arg: or aux:, received "
                             f"{next(iter(bare))!r} (Gluon's format); give the symbol beside it")
        auxiliary = set(symbol.list_auxiliary_states())
        for name, value in bare.items():
            (aux_params if name in auxiliary else arg_params)[name] = value
    return arg_params, aux_params


def load_checkpoint(model):
    """Load ``"prefix,epoch"`` (or a run folder) with its manifest, if it has one.

    Parameters
    ----------
    model : str
        See `parse_model`.

    Returns
    -------
    Checkpoint

    Raises
    ------
    InputError
        A part is missing or cannot be read.

    Examples
    --------
    >>> checkpoint = load_checkpoint("models/resnet-50,0")       # doctest: +SKIP
    >>> checkpoint.symbol.list_outputs()                         # doctest: +SKIP
    ['softmax_output']
    """
    prefix, epoch = parse_model(model)
    if not os.path.isfile(prefix + "-symbol.json"):
        raise MissingFileError(f"symbol is missing: expected {prefix}-symbol.json, received model={model!r}"
                               f"{_near_prefixes(prefix)}")
    symbol = load_symbol(prefix + "-symbol.json")
    arg_params, aux_params = load_params(params_path(prefix, epoch), symbol)
    return Checkpoint(symbol, arg_params, aux_params, load_manifest(prefix), f"{prefix},{epoch}",
                      on_disk=True)


def parent_entry(checkpoint):
    """Return the manifest's ``parent`` entry: a checkpoint's name and, of one on disk, the hash of its parameters."""
    if not checkpoint.on_disk:
        return {"model": checkpoint.name}
    prefix, epoch = parse_model(checkpoint.name)
    return {"model": os.path.basename(prefix) + f",{epoch}", "sha256": sha256(params_path(prefix, epoch))}
