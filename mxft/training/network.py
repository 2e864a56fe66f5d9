"""From a checkpoint to the network that will be trained: new head or kept head, parameters matched and reported."""
import dataclasses

from mxft.compat import mx
from mxft.data.folders import scan_class_folders
from mxft.data.splits import CLUTTER
from mxft.errors import InputError
from mxft.network.conversions import as_read
from mxft.network.graph import Graph
from mxft.network.transfer import match_parameters
from mxft.surgery import FeatureLayer, attach_head, cut_loss, find_feature_layer


@dataclasses.dataclass(frozen=True)
class Network:
    """A network ready to be trained.

    Parameters
    ----------
    symbol : mx.sym.Symbol
        Ends in SoftmaxOutput.
    arg_params, aux_params : dict of str to mx.nd.NDArray
        What was loaded; the rest is the head's and will be initialised.
    head_parameters : tuple of str
    layer : str
        The classification layer.
    feature : mxft.surgery.FeatureLayer
    report : mxft.network.transfer.TransferReport
    num_classes : int
    hidden : tuple of mxft.surgery.attach.Dense
        Layers of the new head before the classification layer.
    """

    symbol: object
    arg_params: dict
    aux_params: dict
    head_parameters: tuple
    layer: str
    feature: FeatureLayer
    report: object
    num_classes: int
    hidden: tuple = ()

    def describe(self):
        """Return what was done to the weights, in a few lines."""
        old = self.feature.classifier
        replaced = f" in place of {old}" if old else " (the network's own output)"
        made = "new head" if self.report.named("new") else "kept head"
        through = f" through {', '.join(map(str, self.hidden))}" if self.hidden else ""
        lines = [f"{made}: {self.layer} with {self.num_classes} classes on {self.feature.name}{through}{replaced}"]
        if self.feature.discarded:
            lines.append(f"  warning: trained layers behind {self.feature.name} are discarded: "
                         f"{', '.join(self.feature.discarded)}")
        return "\n".join([*lines, self.report.summary()])


def with_new_head(checkpoint, num_classes, image_shape, layer=None, hidden=(), name=None):
    """Cut a checkpoint at its feature layer and give it a new head.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    num_classes : int
    image_shape : tuple of int
        ``(C, H, W)``.
    layer : str, optional
        Feature layer; found by graph when None.
    hidden : sequence of mxft.surgery.attach.Dense
        Layers between the feature and the output.
    name : str, optional
        Of the output layer; see `attach_head`.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        No such layer, or any parameter but the head's is missing or of another shape.
    """
    head = attach_head(checkpoint.symbol, num_classes, layer, name, hidden)
    report, args, auxs = match_parameters(head.symbol, checkpoint.arg_params, checkpoint.aux_params, image_shape,
                                          new=head.parameters)
    report.require_only_new(head.parameters)
    return Network(head.symbol, as_read(head.symbol, args), auxs, head.parameters, head.layer, head.feature, report,
                   num_classes, tuple(hidden))


def with_kept_head(checkpoint, num_classes, image_shape):
    """Keep a checkpoint's own classifier, to go on training the same classes.

    Raises
    ------
    InputError
        The checkpoint has no classifier, or one for another number of classes.
    """
    feature = find_feature_layer(checkpoint.symbol)
    if feature.classifier is None:
        raise InputError(f"`require_head`: expected a classifier in {checkpoint.name}, received a network that ends in "
                         f"the embedding {feature.name!r}; leave `require_head` out to get a new head")
    logits = cut_loss(checkpoint.symbol)
    graph = Graph(logits)
    layer = [node for node in graph.operators() if node.name == feature.classifier
             and node.op in ("FullyConnected", "Convolution")][-1]
    outputs = int(layer.attrs.get("num_hidden", layer.attrs.get("num_filter", 0)))
    if outputs != num_classes:
        raise InputError(f"`require_head`: expected a head of {num_classes} classes, received {feature.classifier} "
                         f"with {outputs} in {checkpoint.name}; leave `require_head` out to get a new head")
    symbol = mx.sym.SoftmaxOutput(logits, name="softmax")
    report, args, auxs = match_parameters(symbol, checkpoint.arg_params, checkpoint.aux_params, image_shape)
    report.require_only_new(())
    head = tuple(graph.variables_of(layer, named_in=set(args)))
    return Network(symbol, as_read(symbol, args), auxs, head, feature.classifier, feature, report, num_classes)


def without_parameters(network, image_shape):
    """Return the network with nothing loaded: every parameter will be initialised.

    Parameters
    ----------
    network : Network
    image_shape : tuple of int
        ``(C, H, W)``.

    Returns
    -------
    Network
        Its report calls every parameter new.

    Examples
    --------
    >>> without_parameters(network, (3, 224, 224)).arg_params    # doctest: +SKIP
    {}
    """
    report, args, auxs = match_parameters(network.symbol, {}, {}, image_shape)
    return dataclasses.replace(network, arg_params=args, aux_params=auxs, report=report)


def check_kept_head(checkpoint, spec, folder, exclude=(), keep_clutter=False):
    """Refuse, before `folder` is packed, a checkpoint whose classifier has another number of classes (--require-head).

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec
    folder : str
        One folder of images a class.
    exclude, keep_clutter
        As in `mxft.data.splits.split_folder`.
    """
    left_out = set(exclude) | (set() if keep_clutter else {CLUTTER})
    with_kept_head(checkpoint, len(scan_class_folders(folder, exclude=left_out).classes), spec.shape)
