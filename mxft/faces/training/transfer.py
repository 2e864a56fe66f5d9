"""``--pretrained prefix,epoch``: what of a face checkpoint goes into the network to train, and what is refused.

Upstream loads with ``allow_missing`` and leaves the rest to MXNet: another fc7 ends in ``Incompatible attr in node``,
another embedding too, and another architecture trains from noise without a word.
"""
import dataclasses

from mxft.errors import InputError
from mxft.network.checkpoint import first_non_finite
from mxft.network.graph import Graph, internal_output
from mxft.network.transfer import match_parameters


@dataclasses.dataclass(frozen=True)
class FaceTransfer:
    """What `transfer_face` took over.

    Parameters
    ----------
    report : TransferReport
        Over the whole training network.
    arg_params, aux_params : dict of str to mx.nd.NDArray
    new_head : bool
        The class centres are initialised again.
    new_embedding : bool
    renamed : dict of str to str
        Parameters of the embedding layer that have another name in the checkpoint: theirs to ours.
    """

    report: object
    arg_params: dict
    aux_params: dict
    new_head: bool
    new_embedding: bool
    renamed: dict = dataclasses.field(default_factory=dict)


def transfer_face(network, checkpoint, image_shape, keep_head=True, reinit_embedding=False):
    """Match a face checkpoint to the network to train.

    Parameters
    ----------
    network : FaceNetwork
    checkpoint : Checkpoint or None
        None initialises everything.
    image_shape : tuple of int
        ``(3, H, W)``.
    keep_head : bool
        Take the checkpoint's class centres where they have the shape of the network's.
    reinit_embedding : bool
        Initialise the embedding layer (``pre_fc1`` and ``fc1``), and with it the class centres.

    Returns
    -------
    FaceTransfer

    Raises
    ------
    InputError
        Another architecture: the first parameters that differ are named, and the flags that would build the
        checkpoint's where they are known. Another embedding or input size, unless `reinit_embedding`. NaN or infinity
        in what would be taken over.
    """
    own = embedding_parameters(network.embedding)
    if checkpoint is None:
        report, args, auxs = match_parameters(network.saved, {}, {}, image_shape)
        return FaceTransfer(report, args, auxs, bool(network.head.parameters), True)
    checkpoint, renamed = _under_our_names(checkpoint, network.embedding)
    backbone, _, _ = match_parameters(network.embedding, checkpoint.arg_params, checkpoint.aux_params, image_shape)
    _refuse_other_architecture(backbone, own, checkpoint)
    if not reinit_embedding:
        _refuse_other_embedding(backbone, checkpoint)
    keep_head = not network.head.parameters or (
        keep_head and not reinit_embedding and _head_fits(network.head, checkpoint))
    new = set(network.head.scheduled(0)) | (own if reinit_embedding else set())
    new |= set() if keep_head else set(network.head.parameters)
    report, args, auxs = match_parameters(network.saved, checkpoint.arg_params, checkpoint.aux_params, image_shape, new)
    report.require_only_new(new)
    _refuse_non_finite(checkpoint, args, auxs)
    return FaceTransfer(report, args, auxs, not keep_head, reinit_embedding, renamed)


def embedding_parameters(embedding):
    """Return the names of the embedding layer's own parameters, moving statistics included.

    They are those of the last FullyConnected and of what follows it: ``pre_fc1`` and ``fc1`` in upstream's networks.
    """
    return set(_embedding_roles(embedding).values())


def _embedding_roles(embedding):
    """Return {(operator, its place, input): parameter name} from the last FullyConnected to the end."""
    graph = Graph(embedding)
    dense = [node.index for node in graph.operators() if node.op == "FullyConnected"]
    layers = [node for node in graph.operators() if dense and node.index >= dense[-1]]
    return {(node.op, place, number): graph.nodes[i].name for place, node in enumerate(layers)
            for number, (i, _) in enumerate(node.inputs) if graph.nodes[i].is_variable}


def _under_our_names(checkpoint, embedding):
    """Return the checkpoint with its embedding layer's parameters named as in `embedding`, and what was renamed.

    The weight of ``pre_fc1`` is ``fc1_weight`` in the published MobileFaceNet and ``pre_fc1_weight`` in upstream's
    later code.
    """
    network = _embedding_network(checkpoint)
    theirs, ours = {} if network is None else _embedding_roles(network), _embedding_roles(embedding)
    renamed = {name: ours[role] for role, name in theirs.items() if role in ours and ours[role] != name}
    if not renamed or set(renamed.values()) & {*checkpoint.arg_params, *checkpoint.aux_params}:
        return checkpoint, {}
    parameters = [{renamed.get(name, name): value for name, value in part.items()}
                  for part in (checkpoint.arg_params, checkpoint.aux_params)]
    return dataclasses.replace(checkpoint, arg_params=parameters[0], aux_params=parameters[1]), renamed


def _refuse_other_architecture(backbone, own, checkpoint):
    """Refuse a checkpoint whose backbone has other parameters, more of them, or fewer."""
    theirs = _backbone_of(checkpoint)
    differing = [row for row in backbone.rows if row.status in ("new", "mismatched") and row.name not in own]
    differing += [row for row in backbone.named("dropped") if row.name in theirs]
    if differing:
        raise InputError(
            f"pretrained network is another architecture: expected the parameters of the network to train, received "
            f"{checkpoint.name} with {len(differing)} that differ: {', '.join(map(_difference, differing[:3]))}"
            f"{' …' if len(differing) > 3 else ''}; {_advice(checkpoint)}")


def _backbone_of(checkpoint):
    """Return the names of the parameters the checkpoint's embedding depends on, its own layer's left out."""
    network = _embedding_network(checkpoint)
    if network is None:
        return set()
    return {*network.list_arguments(), *network.list_auxiliary_states()} - embedding_parameters(network)


def _embedding_network(checkpoint):
    """Return the checkpoint's own network up to its embedding; None where it is no face network."""
    try:
        return internal_output(checkpoint.symbol, checkpoint.anatomy.require_embedding().index)
    except InputError:
        return None


def _difference(row):
    if row.status == "new":
        return f"{row.name} {row.symbol_shape} is not in it"
    if row.status == "dropped":
        return f"{row.name} {row.checkpoint_shape} has no place"
    return f"{row.name} is {row.checkpoint_shape} and not {row.symbol_shape}"


def _advice(checkpoint):
    from mxft.backbones.faces import identify

    known = identify({name: tuple(value.shape) for name, value in checkpoint.arg_params.items()})
    build = f"it is {' '.join(known)}; or " if known else ""
    return f"{build}--network pretrained takes the checkpoint's own graph"


def _refuse_other_embedding(backbone, checkpoint):
    rows = backbone.named("mismatched") + backbone.named("new")
    if not rows:
        return
    row = rows[0]
    if row.checkpoint_shape and row.checkpoint_shape[1:] != row.symbol_shape[1:]:
        way_out = "use the `image_size` it was trained with"
    else:
        way_out = f"say `emb_size` {row.checkpoint_shape[0]}" if row.checkpoint_shape else "choose its `version_output`"
    raise InputError(
        f"embedding does not fit: expected {row.name} of shape {row.symbol_shape}, received {row.checkpoint_shape} "
        f"from {checkpoint.name}; {way_out}, or `reinit_embedding` to initialise the embedding layer again (formerly "
        f"`Incompatible attr in node … expected {list(row.symbol_shape)}, got {list(row.checkpoint_shape or ())}`)")


def _refuse_non_finite(checkpoint, *parameter_sets):
    name = first_non_finite(*parameter_sets)
    if name is not None:
        raise InputError(f"pretrained parameters are not finite: expected numbers, received NaN or infinity in "
                         f"{name} of {checkpoint.name}, from a run that diverged or a damaged file; choose another "
                         "epoch")


def _head_fits(head, checkpoint):
    """Whether the checkpoint has class centres of the head's shape under the head's names."""
    shapes = {name: spec[0] for name, spec in head.variable_specs().items() if name in head.parameters}
    return all(name in checkpoint.arg_params and tuple(checkpoint.arg_params[name].shape) == shape
               for name, shape in shapes.items())
