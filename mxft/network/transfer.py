"""A checkpoint's parameters against a new symbol: what is loaded, new, dropped or mismatched, before anything binds.

``Module.fit(allow_missing=True)`` re-initialises a misspelled or missing layer without a word. Here only the new
head's parameters may be missing; anything else is refused with its name and both shapes.
"""
import contextlib
import dataclasses
import io
from collections.abc import Container, Sequence
from typing import Any

from mxft.compat import mx
from mxft.errors import InputError, last_line, nearest
from mxft.network.anatomy import anatomy_of, fitting_shape
from mxft.network.sizes import check_sizes
from mxft.wording import BriefRepr

STATUSES = ("loaded", "new", "dropped", "mismatched")


@dataclasses.dataclass(frozen=True)
class ParameterMatch:
    """What became of one parameter.

    Parameters
    ----------
    name : str
    kind : {"arg", "aux"}
    status : {"loaded", "new", "dropped", "mismatched"}
        ``new``: the symbol has it and it will be initialised. ``dropped``: only the checkpoint has it.
    checkpoint_shape, symbol_shape : tuple of int or None
        None on the side that does not have it.
    """

    name: str
    kind: str
    status: str
    checkpoint_shape: tuple
    symbol_shape: tuple


@dataclasses.dataclass(frozen=True, repr=False)
class TransferReport(BriefRepr):
    """What happened to each parameter; see `match_parameters`.

    Parameters
    ----------
    rows : tuple of ParameterMatch

    Examples
    --------
    >>> report = TransferReport((ParameterMatch("fc1_bias", "arg", "new", None, (2,)),))
    >>> report.named("new")[0].name, report.to_dict()["counts"]["loaded"]
    ('fc1_bias', 0)
    """

    rows: tuple

    def named(self, status):
        """Return the rows of one status."""
        return [row for row in self.rows if row.status == status]

    def summary(self, most=6):
        """Return a few lines for a person: counts, then the names of what is not simply loaded."""
        counts = ", ".join(f"{len(self.named(status))} {status}" for status in STATUSES)
        lines = [f"transfer: {counts}"]
        for status in STATUSES[1:]:
            rows = self.named(status)
            lines += [f"  {status}: {_describe(row)}" for row in rows[:most]]
            if len(rows) > most:
                lines.append(f"  {status}: … and {len(rows) - most} more (transfer.json has all)")
        return "\n".join(lines)

    def to_dict(self):
        """Return the whole report for ``transfer.json``."""
        return {"counts": {status: len(self.named(status)) for status in STATUSES},
                "parameters": [dataclasses.asdict(row) for row in self.rows]}

    def require_only_new(self, allowed):
        """Refuse (InputError) any mismatched parameter, and any missing one that is not in `allowed`."""
        for row in self.named("mismatched"):
            raise InputError(
                f"parameter does not fit: expected {row.name} of shape {row.symbol_shape}, received "
                f"{row.checkpoint_shape} from the checkpoint; another architecture, embedding or input size? (formerly "
                f"`Incompatible attr in node … expected {list(row.symbol_shape)}, got {list(row.checkpoint_shape)}`)")
        missing = [row.name for row in self.named("new") if row.name not in allowed]
        if missing:
            have = [row.name for row in self.rows if row.checkpoint_shape]
            head = f" but the new head's ({', '.join(allowed)})" if allowed else ""
            raise InputError(
                f"checkpoint is not complete: expected every parameter{head}, received none for "
                f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''} ({len(missing)} in all); "
                f"{nearest(missing[0], have)}")


def _describe(row):
    if row.checkpoint_shape and row.symbol_shape:
        return f"{row.name} {row.checkpoint_shape} -> {row.symbol_shape}"
    return f"{row.name} {row.checkpoint_shape or row.symbol_shape}"


def match_parameters(symbol: Any, arg_params: dict[str, Any], aux_params: dict[str, Any],
                     image_shape: Sequence[int] = (3, 224, 224), new: Container[str] = ()
                     ) -> tuple[TransferReport, dict[str, Any], dict[str, Any]]:
    """Match a checkpoint's parameters to a symbol by name and inferred shape.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        The network that will be bound, for example the one of `mxft.surgery.attach_head`.
    arg_params, aux_params : dict of str to mx.nd.NDArray
        The checkpoint's.
    image_shape : tuple of int
        ``(C, H, W)`` the network will be bound with.
    new : container of str
        Parameters to initialise even where the checkpoint has one of that name (the new head's).

    Returns
    -------
    report : TransferReport
    arg_params, aux_params : dict of str to mx.nd.NDArray
        Only what is loaded.

    Raises
    ------
    InputError
        Shapes cannot be inferred from the image shape, or a layer would take more memory than any network's.

    Notes
    -----
    Nothing is refused here; call ``report.require_only_new(head.parameters)``.

    Examples
    --------
    >>> net = mx.sym.FullyConnected(mx.sym.Flatten(mx.sym.Variable("data")), num_hidden=2, name="fc1")
    >>> report, _, _ = match_parameters(net, {"fc1_weight": mx.nd.ones((2, 12))}, {}, (3, 2, 2))
    >>> print(report.summary())
    transfer: 1 loaded, 1 new, 0 dropped, 0 mismatched
      new: fc1_bias (2,)
    """
    wanted = _wanted_shapes(symbol, arg_params, aux_params, image_shape)
    have = {**{("arg", k): v for k, v in arg_params.items()}, **{("aux", k): v for k, v in aux_params.items()}}
    rows, loaded = [], {"arg": {}, "aux": {}}
    for (kind, name), shape in wanted.items():
        value = have.get((kind, name))
        given = tuple(value.shape) if value is not None else None
        if value is None or name in new:
            status = "new"
        elif given == shape:
            status, loaded[kind][name] = "loaded", value
        else:
            status = "mismatched"
        rows.append(ParameterMatch(name, kind, status, given, shape))
    rows += [ParameterMatch(name, kind, "dropped", tuple(value.shape), None)
             for (kind, name), value in have.items() if (kind, name) not in wanted]
    return TransferReport(tuple(rows)), loaded["arg"], loaded["aux"]


def _wanted_shapes(symbol, arg_params, aux_params, image_shape):
    """Return {(kind, name): shape} of every parameter the symbol needs."""
    anatomy = anatomy_of(symbol, arg_params, aux_params)
    first = anatomy.inputs[0] if anatomy.inputs else anatomy.image
    image = first if first.is_image or (first.name == "data" and not first.is_index) else anatomy.image
    if image.channels and image.is_image and image.channels != image_shape[0]:
        raise InputError(f"network does not take this input: expected images of {image.channels} channels, received "
                         f"image-shape={tuple(image_shape)}")
    inputs = {image.name, *anatomy.labels}
    given = {image.name: (1, *image_shape)}
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints the arguments of a failed inference there
            args, _, auxs = symbol.infer_shape_partial(**given)
            names = symbol.list_arguments()
            unknown = {name for name, shape in zip(names, args) if not shape or not all(shape)} & set(arg_params)
            if unknown:  # a constant that is broadcast, whose shape only its value tells
                given.update((name, arg_params[name].shape) for name in unknown)
                args, _, auxs = symbol.infer_shape_partial(**given)
    except mx.base.MXNetError as error:
        fits = fitting_shape(symbol, arg_params, aux_params, anatomy)
        cure = f"; its parameters fit `image_shape={fits}`" if fits != tuple(image_shape) else ""
        raise InputError(f"network does not take this input: expected images it can process, received image-shape="
                         f"{tuple(image_shape)} ({last_line(error)}){cure}") from None
    if not all(shape and all(shape) for shape in (*args, *auxs)):
        anatomy.image  # noqa: B018 - names several inputs
        raise InputError(f"shapes cannot be inferred from the image alone: received image-shape={tuple(image_shape)} "
                         f"and inputs {sorted(inputs)}")
    check_sizes(symbol, given)
    shapes = {("arg", name): tuple(shape) for name, shape in zip(names, args) if name not in inputs}
    shapes.update({("aux", name): tuple(shape) for name, shape in zip(symbol.list_auxiliary_states(), auxs)})
    return shapes


def check_fits(checkpoint, spec):
    """Refuse a checkpoint whose parameters are not complete or do not fit its network at this image shape.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec

    Raises
    ------
    InputError
        The parameter is named, with both shapes.
    """
    served = checkpoint.anatomy.served_symbol(checkpoint.symbol)
    report, _, _ = match_parameters(served, checkpoint.arg_params, checkpoint.aux_params, spec.shape)
    report.require_only_new(())
