"""A Gluon classifier as a symbol Checkpoint, with its published input convention.

Follows ``HybridBlock.export`` of MXNet 1.9.1 (python/mxnet/gluon/block.py) and the two model zoos it is used with:
``mxnet.gluon.model_zoo.vision`` and ``gluoncv.model_zoo``.
"""
import os
import warnings

from mxft.errors import InputError, last_line, nearest
from mxft.files.whole import require_file

# transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) after ToTensor, in pixel values 0-255.
MEAN = (123.675, 116.28, 103.53)
SCALE = (1 / 58.395, 1 / 57.12, 1 / 57.375)
STORES = ("mxnet", "gluoncv")
# Weights in a store that are called otherwise than the function that builds their network: {store: {file: function}}.
BUILT_BY = {
    "mxnet": {"inceptionv3": "inception_v3", "squeezenet1.0": "squeezenet1_0", "squeezenet1.1": "squeezenet1_1"},
    "gluoncv": {"resnet18_v1b_2.6x": "resnet18_v1b_0.89", "resnet50_v1d_1.8x": "resnet50_v1d_0.86",
                "resnet50_v1d_3.6x": "resnet50_v1d_0.48", "resnet50_v1d_5.9x": "resnet50_v1d_0.37",
                "resnet50_v1d_8.8x": "resnet50_v1d_0.11", "resnet101_v1d_1.9x": "resnet101_v1d_0.76",
                "resnet101_v1d_2.2x": "resnet101_v1d_0.73",
                **{f"hrnet_{width}_cls": f"hrnet_{width}_c" for width in (
                    "w18", "w18_small_v1", "w18_small_v2", "w30", "w32", "w40", "w44", "w48", "w64")}},
}
_PRUNED_PREFIX = "resnetv1d_"  # of every name in the files of the pruned ResNets, v1b included


def checkpoint_from_gluon(net, weights=None, classes=None, input_size=224, resize=None, mean=MEAN, scale=SCALE,
                          seed=0, store=None, source=None, **options):
    """Return the Checkpoint of a Gluon classifier: its symbol, and its parameters under their Gluon names.

    Parameters
    ----------
    net : str or mxnet.gluon.HybridBlock
        A model name (``resnet50_v2``, ``mobilenetv2_0.25``, ``resnet50_v1b``, or as the store calls its file,
        ``resnet50_v1d_1.8x``), or a network: initialised, or to be initialised here.
    weights : str or os.PathLike, optional
        A Gluon ``.params`` file (``save_parameters`` or the stores' format). None keeps the parameters a network
        already has and draws the others (Xavier, Gaussian, factor 2 over fan-in) from `seed`.
    classes : list of str or int, optional
        Names or number of the outputs. None: what the network was made with (1000 for the stores' models).
    input_size : int
        Height and width of the input in pixels.
    resize : int, optional
        Pixels the shorter side is resized to before the centre crop; None: ``input_size / 0.875``, rounded.
    mean, scale : sequence of float
        Red, green, blue: what is subtracted from pixel values 0-255, and what the difference is multiplied with.
    seed : int
        For parameters without weights; it seeds MXNet's global generator.
    store : {"mxnet", "gluoncv"}, optional
        Which zoo a name is looked up in; None: MXNet's first, then GluonCV's.
    source : str, optional
        Where the weights come from, for the manifest.
    **options
        Passed on to the zoo's constructor, as ``thumbnail=True``.

    Returns
    -------
    mxft.network.checkpoint.Checkpoint
        The symbol takes ``data`` of shape (N, 3, input_size, input_size) and returns scores (N, classes): a Gluon
        classifier ends in its Dense layer and no softmax is added. A model made from its name has the same names
        every time; a network that was passed keeps the prefix it was made with.

    Raises
    ------
    InputError
        The name is unknown, the weights do not fit, or the network has more than one input or output, or layers that
        cannot be traced (GluonCV's GroupNorm).

    Examples
    --------
    >>> checkpoint_from_gluon("resnet18_v1", classes=["cat", "dog"]).symbol.list_outputs()   # doctest: +SKIP
    ['resnetv10_dense0_fwd_output']
    """
    from mxft.network.checkpoint import Checkpoint
    names = None if classes is None or isinstance(classes, int) else list(classes)
    count = len(names) if names is not None else classes
    title, origin = (net, f"seed {seed}") if isinstance(net, str) else (net.name, "as passed")
    net = build(net, classes=count, store=store, **options) if isinstance(net, str) else net
    symbol = trace(net)
    _fill(net, weights, input_size, seed, title)
    outputs = symbol.infer_shape(data=(1, 3, input_size, input_size))[1][0][-1]
    if count is not None and outputs != count:
        raise InputError(f"{title} does not fit the classes: expected {count} outputs, received {outputs}")
    source = source or f"Gluon {title}, {os.path.basename(weights) if weights else origin}"
    return Checkpoint(symbol, *split_parameters(net, symbol), {
        "input": _input_entry(input_size, resize, mean, scale), "classes": names, "parent": None, "source": source})


def _input_entry(size, resize, mean, scale):
    return {"size": int(size), "resize": int(resize or round(size / 0.875)), "mean": [float(v) for v in mean],
            "scale": [float(v) for v in scale], "channel_order": "RGB"}


def build(name, classes=None, store=None, **options):
    """Return the Gluon network `name` without parameters; its layers have the same names in every program.

    Gluon numbers the networks of a process (``resnetv10_``, ``resnetv11_`` …); here each is the first of its kind, so
    the names are those of an export from a fresh process. `options` go to the zoo's constructor.
    """
    from mxft.compat import mx

    known = {}
    if classes is not None:
        options["classes"] = classes
    for which in STORES if store is None else (store,):
        known[which] = _constructors(which)
        if name.lower() in known[which]:
            with mx.name.NameManager():
                return known[which][name.lower()](pretrained=False, **options)
    everything = [model for models in known.values() for model in models]
    raise InputError(f"unknown Gluon model: received {name!r}; {nearest(name, everything)}")


def _constructors(store):
    """Return {model name: function that makes it} of one of the two zoos."""
    if store not in STORES:
        raise InputError(f"unknown model store: expected one of {', '.join(STORES)}, received store={store!r}")
    if store == "gluoncv":
        from mxft.compat import load_gluoncv
        load_gluoncv()
        from gluoncv.model_zoo import model_zoo
        return _under_both_names(model_zoo._models, store)
    from mxft.compat import mx
    vision = mx.gluon.model_zoo.vision
    made = {name: value for name, value in vars(vision).items()
            if callable(value) and name.islower() and not name.startswith(("_", "get_"))}
    for base, called in (("mobilenet", "mobilenet"), ("mobilenet_v2_", "mobilenetv2_")):
        for width in ("0_25", "0_5", "0_75", "1_0"):
            if base + width in made:
                made[called + width.replace("_", ".")] = made[base + width]
    return _under_both_names(made, store)


def _under_both_names(made, store):
    """Return `made` with the stores' own names of files added."""
    return {**made, **{file: made[function] for file, function in BUILT_BY[store].items() if function in made}}


def trace(net):
    """Return the symbol of a network with one input, ``data``, and one output; it needs no parameters for that."""
    from mxft.compat import mx

    # A fresh manager: the names of nameless operators must not count on from an earlier network's.
    try:
        with mx.name.NameManager():
            symbol = net(mx.sym.var("data"))
    except mx.MXNetError as error:
        raise InputError(f"cannot convert {net.name}: expected layers that can be traced to a symbol, received one "
                         f"that cannot ({last_line(error)})") from None
    if not isinstance(symbol, mx.sym.Symbol) or len(symbol.list_outputs()) != 1:
        raise InputError(f"cannot convert {net.name}: expected a classifier with one output, received "
                         f"{len(symbol)} outputs")
    return symbol


def split_parameters(net, symbol):
    """Return copies of the network's parameters as ``(arg_params, aux_params)`` of `symbol`.

    The same split ``HybridBlock.export`` writes to a file.
    """
    from mxft.compat import mx

    parameters = net.collect_params()
    return tuple({name: parameters[name].data(mx.cpu()).copy() for name in names if name in parameters}
                 for names in (symbol.list_arguments(), symbol.list_auxiliary_states()))


def _fill(net, weights, input_size, seed, title):
    """Give every parameter a value: from the file, the network's own, or drawn from the seed."""
    from mxft.compat import mx

    full_names = {} if weights is None else _pruned_weights(require_file(weights, "Gluon weights"))
    if weights is None or full_names:
        mx.random.seed(seed)
        with warnings.catch_warnings():
            # Parameters that have values keep them, and Gluon warns about each.
            warnings.simplefilter("ignore")
            net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2), ctx=mx.cpu())
    else:
        try:
            net.load_parameters(os.fspath(weights), ctx=mx.cpu())
        except (AssertionError, ValueError, KeyError, mx.MXNetError) as error:
            raise _does_not_fit(weights, title, error) from None
    # The one forward pass settles the shapes Gluon leaves open until it sees data.
    net(mx.nd.zeros((1, 3, input_size, input_size), ctx=mx.cpu())).wait_to_read()
    if full_names:
        _set_pruned(net, full_names, weights, title)


def _does_not_fit(weights, title, reason):
    first = " ".join(str(reason).split())[:300]
    return InputError(f"{os.fspath(weights)} does not fit {title}: expected its parameters, received {first}")


def _pruned_weights(path):
    """Return the arrays of a file of GluonCV's pruned ResNets, or {} for any other file.

    They alone are saved under full names, which `load_parameters` cannot read (gluoncv/model_zoo/pruned_resnet).
    """
    from mxft.compat import mx
    from mxft.network.params_file import read_arrays

    try:
        arrays = read_arrays(path)
    except (ValueError, mx.MXNetError) as error:
        raise InputError(f"Gluon weights cannot be read: expected what save_parameters writes, received {path} "
                         f"({last_line(error)}); copy or download it again") from None
    pruned = isinstance(arrays, dict) and arrays and all(name.startswith(_PRUNED_PREFIX) for name in arrays)
    return arrays if pruned else {}


def _set_pruned(net, arrays, weights, title):
    """Give a network whose shapes are settled the values of a pruned ResNet's file."""
    parameters = {_PRUNED_PREFIX + name[len(net.prefix):]: value for name, value in net.collect_params().items()}
    shapes = {name: tuple(value.shape) for name, value in parameters.items()}
    received = {name: value.shape for name, value in arrays.items()}
    different = sorted(set(shapes.items()) ^ set(received.items()))
    if different:
        name = different[0][0]
        raise _does_not_fit(weights, title, f"{name} {received.get(name, 'missing')} where it has "
                                            f"{shapes.get(name, 'none')}")
    for name, value in parameters.items():
        value.set_data(arrays[name])
