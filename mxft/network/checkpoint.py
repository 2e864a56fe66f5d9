"""Checkpoint = symbol + parameters + manifest: ``"prefix,epoch"`` in, an atomic save out.

On disk these are the files every MXNet program reads (``mx.model.load_checkpoint``), ``prefix-symbol.json`` and
``prefix-%04d.params``, and beside them ``prefix-manifest.json`` with what the numbers alone do not tell.
"""
import dataclasses
import json
import logging
import os
import re

from mxft.compat import mx
from mxft.errors import InputError, MissingFileError, last_line
from mxft.files.whole import sha256
from mxft.network.anatomy import anatomy_of, fitting_shape
from mxft.network.anatomy.inputs import find_inputs
from mxft.network.calibration import Calibration
from mxft.network.conversions import convert
from mxft.network.graph import Graph
from mxft.network.graph_file import read_graph
from mxft.network.input_spec import InputSpec
from mxft.network.locating import near_prefixes, params_path, parse_model, saved_epochs
from mxft.network.manifest import load_manifest, read_manifest  # noqa: F401 (known by this place too)
from mxft.network.packaged import facts_beside
from mxft.network.parameter_ranks import check_ranks
from mxft.network.params_file import DamagedFile, read_arrays
from mxft.network.saved_hashes import symbol_hash
from mxft.network.saving import first_non_finite, save_arrays, save_files  # noqa: F401 (known by this place too)
from mxft.wording import html_table

_log = logging.getLogger(__name__)


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
    notes : tuple of str
        What was converted on opening.
    precision : {"fp32", "bf16", "int8", "auto"}, mxft.inference.precision.Precision or None
        The numbers it is to be computed in for inference: see `mxft.inference.precision.precision_of`.
    """

    symbol: object
    arg_params: dict
    aux_params: dict
    manifest: dict = dataclasses.field(default_factory=dict)
    name: str = "(unnamed)"
    on_disk: bool = False
    notes: tuple = ()
    precision: object = None
    _decided: tuple = dataclasses.field(default=None, init=False, repr=False, compare=False)

    def __repr__(self):
        """One line: name, parameters, classes."""
        numbers = sum(value.size for value in self.arg_params.values())
        classes = f", {len(self.classes):,} classes" if self.classes else ""
        return (f"<Checkpoint {self.name}: {len(self.arg_params):,} tensors ({numbers:,} parameters), "
                f"{len(self.aux_params):,} moving statistics{classes}>")

    def _repr_html_(self):
        told = [line.split(": ", 1) for line in self.anatomy.describe().splitlines()]
        return html_table([("checkpoint", self.name), *(line if len(line) > 1 else (line[0], "") for line in told)])

    @property
    def anatomy(self):
        """What the network is: inputs, outputs, features, states; an `mxft.network.anatomy.Anatomy`, decided once."""
        told_by = (self.symbol, self.arg_params, self.aux_params)
        altered = (len(self.arg_params), len(self.aux_params), json.dumps(self.manifest, default=str), self.name)
        if self._decided is None or self._decided[1] != altered or any(
                old is not new for old, new in zip(self._decided[0], told_by)):
            calibration = self.calibration
            anatomy = anatomy_of(*told_by, self.manifest).calibrated(calibration.left if calibration else 1.0)
            self._decided = told_by, altered, anatomy
        return self._decided[2]

    @property
    def metrics(self):
        """What the manifest says of this epoch, ``{"val_top1": 0.75, …}``; ``{}`` where it says nothing."""
        epochs = self.manifest.get("metrics")
        found = epochs.get(self.name.rpartition(",")[2]) if isinstance(epochs, dict) else None
        return found if isinstance(found, dict) else {}

    @property
    def calibration(self):
        """The Calibration of this epoch, which `anatomy` serves its probabilities by; None where there is none."""
        return Calibration.of(self.metrics)

    @property
    def input_spec(self):
        """The manifest's InputSpec, or None where there is no manifest."""
        entry = self.manifest.get("input")
        return InputSpec.from_dict(entry) if entry else None

    def assumed_spec(self, default=None):
        """Return the InputSpec of a checkpoint whose manifest names none: raw pixels, in the size that can be told.

        Parameters
        ----------
        default : InputSpec, optional
            What holds where neither the graph nor a file beside the checkpoint tells a size, in a size that fits the
            parameters; None then, when None.

        Returns
        -------
        InputSpec or None
        """
        anatomy = self.anatomy
        known = anatomy.inputs and anatomy.inputs[0].is_image and anatomy.inputs[0].size
        if known or default is None:
            return anatomy.default_spec(default) if known else None
        shape = fitting_shape(self.symbol, self.arg_params, self.aux_params, anatomy, default.shape[1])
        return dataclasses.replace(default, shape=shape)

    @property
    def proposed_shape(self):
        """The size of images, ``(C, H, W)``, that a message proposes where nothing tells it: one that fits."""
        known = self.input_spec or self.assumed_spec()
        return known.shape if known else fitting_shape(self.symbol, self.arg_params, self.aux_params, self.anatomy)

    @property
    def classes(self):
        """Class names in label order, or None."""
        return self.manifest.get("classes")

    def save(self, prefix, epoch):
        """Write symbol, parameters and manifest under `prefix`, each whole or not at all.

        The manifest, where there is one, keeps a hash of the graph and of every array; `load_checkpoint` compares.

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
        save_files(prefix, epoch, self.symbol, self.arg_params, self.aux_params, self.manifest)
        return f"{prefix},{epoch}"


def require_free_prefix(prefix, epoch, force, setting):
    """Refuse (InputError) a prefix that is a folder, or that has files already unless forced; `setting` names it."""
    if not os.path.basename(prefix):
        raise InputError("output name: expected a folder and the beginning of the files' names, received "
                         f"{prefix!r}; try {os.path.join(prefix, 'model')}")
    standing = [path for path in (prefix + "-symbol.json", params_path(prefix, epoch)) if os.path.lexists(path)]
    if standing and not force:
        raise InputError(f"output name: expected one that is free, received {prefix!r} where {standing[0]} stands; "
                         f"`force` replaces it, `{setting}` chooses another")


def load_symbol(path):
    """Read a symbol JSON of any MXNet release, in today's terms: see `mxft.network.conversions`.

    Raises
    ------
    InputError
        The file is missing, is no MXNet graph, or holds what no network is made of: see `mxft.network.graph_file`.
    """
    return _converted(read_graph(path), {}, path)[0]


def _converted(graph, values, path):
    """Return the symbol of a graph that was read, and notes; `values` are changed with it."""
    try:
        return convert(graph, values)
    except (ValueError, mx.base.MXNetError) as error:
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
    kinds, values = _read_values(path)
    if symbol is None and None in kinds.values():
        name = next(name for name, kind in kinds.items() if kind is None)
        raise InputError(f"parameters of {path}: expected names beginning arg: or aux:, received {name!r} (Gluon's "
                         "format); give the symbol beside it")
    states = set(symbol.list_auxiliary_states()) if symbol is not None else set()
    aux = {name for name, kind in kinds.items() if kind == "aux" or (kind is None and name in states)}
    return ({name: value for name, value in values.items() if name not in aux},
            {name: value for name, value in values.items() if name in aux})


def _read_values(path, advice=lambda: "copy or download it again"):
    """Return ({name: "arg", "aux" or None}, {name: array}) of a ``.params`` file; ``advice()`` ends a message."""
    if not os.path.isfile(path):
        prefix = re.sub(r"-[^-]*\.params$", "", path)
        epochs = saved_epochs(prefix)
        hint = f"epochs there: {', '.join(epochs)}" if epochs else "no epoch of that prefix exists"
        raise MissingFileError(f"parameters are missing: expected a file, received {path!r}; {hint}")
    try:
        entries = read_arrays(path)
    except (DamagedFile, mx.base.MXNetError) as error:
        raise InputError(f"parameters cannot be read: expected a whole MXNet parameter file, received {path} of "
                         f"{os.path.getsize(path)} bytes, cut short or not one ({last_line(error)}); "
                         f"{advice()}") from None
    except ValueError as error:
        raise InputError(f"parameters cannot be read: {error}; in {path}") from None
    if not isinstance(entries, dict):
        raise InputError(f"parameters cannot be read: expected named arrays, received {path} with "
                         f"{len(entries)} arrays without names")
    kinds, values = {}, {}
    for key, value in entries.items():
        kind, colon, name = key.partition(":")
        name, kind = (name, kind) if colon and kind in ("arg", "aux") else (key, None)
        if name in values:
            raise InputError(f"parameters cannot be read: expected one array for each name, received {name!r} twice, "
                             f"under arg:, aux: or neither; in {path}")
        kinds[name], values[name] = kind, value
    return kinds, values


def _is_what_was_saved(hashes, prefix, epoch):
    """Whether the symbol's file has the hash that the manifest knows, or the manifest knows none."""
    try:
        hashes.check_symbol(prefix, epoch)
    except InputError:
        return False
    return True


def load_checkpoint(model: str) -> Checkpoint:
    """Load ``"prefix,epoch"`` (or a run folder) with its manifest, if it has one, opened as MXNet meant it.

    Parameters
    ----------
    model : str
        See `mxft.network.locating.parse_model`.

    Returns
    -------
    Checkpoint
        Its `notes` say what was converted: see `mxft.network.conversions`.

    Raises
    ------
    InputError
        A part is missing or cannot be read, or is not what was saved: a manifest keeps the hashes of the files beside
        it. The message names the arrays and another checkpoint that is whole.

    Examples
    --------
    >>> net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=2, name="fc1")
    >>> net = mx.sym.SoftmaxOutput(net, name="softmax")
    >>> weights = {"fc1_weight": mx.nd.ones((2, 12)), "fc1_bias": mx.nd.zeros((2,))}
    >>> Checkpoint(net, weights, {}, {"classes": ["cat", "dog"]}).save("net", 0)
    'net,0'
    >>> checkpoint = load_checkpoint("net,0")
    >>> checkpoint.classes, checkpoint.anatomy.output().kind
    (['cat', 'dog'], 'probabilities')
    """
    prefix, epoch = parse_model(model)
    path = prefix + "-symbol.json"
    if not os.path.isfile(path):
        raise MissingFileError(f"symbol is missing: expected {path}, received model={model!r}{near_prefixes(prefix)}")
    manifest, hashes = read_manifest(prefix)
    try:
        graph = read_graph(path)
    except InputError as error:
        if symbol_hash(path) and not _is_what_was_saved(hashes, prefix, epoch):
            raise InputError(f"{error.message}; it is damaged or was replaced: restore it from a copy") from None
        raise
    hashes.check_symbol(prefix, epoch)
    hashes.check_arrays(prefix, epoch)
    kinds, values = _read_values(params_path(prefix, epoch), lambda: hashes.advice(prefix, epoch))
    try:
        check_ranks(graph, values)
    except ValueError as error:
        raise InputError(f"parameters do not fit the network: {error}; in {params_path(prefix, epoch)}") from None
    symbol, notes = _converted(graph, values, path)
    states = set(symbol.list_auxiliary_states())
    arguments = set(symbol.list_arguments())
    aux = {name for name in values if name in states or (kinds.get(name) == "aux" and name not in arguments)}
    moved = sum(kinds.get(name, kind) not in (kind, None) for kind, names in (("aux", aux), ("arg", arguments))
                for name in names if name in values)
    notes += (f"{moved} arrays saved under the other of arg: and aux:",) if moved else ()
    checkpoint = Checkpoint(symbol, {name: value for name, value in values.items() if name not in aux},
                            {name: value for name, value in values.items() if name in aux}, manifest,
                            f"{prefix},{epoch}", True, notes)
    checkpoint = _without_fed_values(checkpoint)
    checkpoint = checkpoint if checkpoint.manifest else _with_facts(checkpoint, facts_beside(prefix))
    if checkpoint.notes:
        _log.warning("opened %s: %s", checkpoint.name, "; ".join(checkpoint.notes))
    return checkpoint


def _without_fed_values(checkpoint):
    """Return a checkpoint without values of its inputs and labels, which some programs save with the parameters."""
    shapes = {name: value.shape for name, value in {**checkpoint.arg_params, **checkpoint.aux_params}.items()}
    inputs, labels = find_inputs(Graph(checkpoint.symbol), shapes)
    fed = [name for name in (*(one.name for one in inputs), *labels) if name in checkpoint.arg_params]
    if not fed:
        return checkpoint
    kept = {name: value for name, value in checkpoint.arg_params.items() if name not in fed}
    return dataclasses.replace(checkpoint, arg_params=kept, notes=(
        *checkpoint.notes, f"values of {', '.join(fed)} left out, which are inputs of the network"))


def _with_facts(checkpoint, facts):
    """Return a checkpoint with what files beside it tell; class names only where there are as many outputs."""
    if "classes" in facts:
        size = next((output.size for output in checkpoint.anatomy.served), None)
        if len(facts["classes"]) != size:
            facts = {name: value for name, value in facts.items() if name != "classes"}
    return dataclasses.replace(checkpoint, manifest=facts) if facts else checkpoint


def parent_entry(checkpoint):
    """Return the manifest's ``parent`` entry: a checkpoint's name and, of one on disk, the hash of its parameters."""
    if not checkpoint.on_disk:
        return {"model": checkpoint.name}
    prefix, epoch = parse_model(checkpoint.name)
    return {"model": os.path.basename(prefix) + f",{epoch}", "sha256": sha256(params_path(prefix, epoch))}
