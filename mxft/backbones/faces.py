"""The face networks by their insightface names: ``r50``, ``y1``, ``m1`` … with the ``--version-*`` flags' meaning.

Reproduces the symbols that insightface's ``train_softmax.py`` (2018–2020) built, node for node: the same parameters in
the same order, so its checkpoints load and its programs read ours.
"""
import contextlib
import dataclasses
import io
import itertools
import re

from mxft.backbones import embedding_output, face_mobilenet, face_resnet, mobilefacenet
from mxft.backbones.versions import Versions
from mxft.compat import mx
from mxft.errors import InputError, last_line
from mxft.plugins import BACKBONES, installed, load

_NOT_BUILT = {"d": "DenseNet", "p": "DPN", "n": "NASNet", "i": "Inception-ResNet-v2", "x": "Xception",
              "s": "SphereNet"}
# MobileFaceNet checkpoints of 2018 name the embedding's weight after the BatchNorm that follows it.
_OLD_NAMES = {"fc1_weight": "pre_fc1_weight"}
_CLASSIFIER = {"fc7_weight", "fc7_bias"}


_DEFAULTS = Versions()


@dataclasses.dataclass(frozen=True)
class Family:
    """One row of the table of networks that are built here.

    Parameters
    ----------
    name : str
    depths : tuple of int
        What stands behind the letter.
    body : callable
        ``(depth, versions) -> mx.sym.Symbol``, all but the embedding.
    choices : dict of str to tuple
        What the family has of each of `Versions`; a value it would silently ignore is refused.
    """

    name: str
    depths: tuple
    body: object
    choices: dict


FAMILIES = {
    "r": Family("face ResNet", tuple(face_resnet.STAGES), face_resnet.face_resnet,
                {"se": (0, 1), "input": (0, 1, 2), "unit": face_resnet.UNITS, "multiplier": (1.0,)}),
    "y": Family("MobileFaceNet", tuple(mobilefacenet.BLOCKS), mobilefacenet.mobilefacenet,
                {"se": (0,), "input": (1,), "unit": (3,), "multiplier": (1.0,)}),
    "m": Family("MobileNet", (1,), lambda depth, versions: face_mobilenet.face_mobilenet(versions),
                {"se": (0,), "input": (0, 1), "unit": (3,)}),
}


def face_network(network="r50", emb_size=512, image_size=(112, 112), versions=_DEFAULTS):
    """Build a face backbone that ends in its embedding.

    Parameters
    ----------
    network : str
        Letter and depth: ``r18 … r269`` face ResNet, ``y1 y2`` MobileFaceNet, ``m1`` MobileNet; or the name of a
        network of an installed package, see `mxft.plugins`.
    emb_size : int
        D of the embedding.
    image_size : (int, int)
        Height and width the network must take, in pixels; the symbol itself carries no size.
    versions : Versions

    Returns
    -------
    mx.sym.Symbol
        Input ``data``, float32 ``(N, 3, H, W)``, RGB, raw 0–255; one output, ``fc1_output``, ``(N, D)``.

    Raises
    ------
    InputError
        A network, output, unit, activation or flag value that is not built, or an image size it cannot take.

    Notes
    -----
    It does not initialise: see `initializer`. Names count from 0 at each call, as in a fresh process.

    Examples
    --------
    >>> net = face_network("y1", 128, versions=Versions(output="GDC"))
    >>> net.list_outputs(), net.infer_shape(data=(2, 3, 112, 112))[1]
    (['fc1_output'], [(2, 128)])
    """
    if not isinstance(emb_size, int) or emb_size < 1:
        raise InputError(f"embedding cannot be built: expected a whole number of at least 1, received "
                         f"`emb_size={emb_size}`")
    if network in _added():
        return _from_a_package(network, emb_size, image_size, versions)
    letter, depth = _parse(network)
    _check_versions(network, letter, versions)
    with mx.name.NameManager():
        symbol = embedding_output.embedding_output(_body(letter, depth, versions), emb_size, versions)
    _check_size(symbol, network, emb_size, image_size, versions)
    return symbol


def _body(letter, depth, versions):
    return FAMILIES[letter].body(depth, versions)


def _added():
    """Return the names of the networks of installed packages; a letter and depth of `FAMILIES` stays theirs."""
    own = {f"{letter}{depth}" for letter, family in FAMILIES.items() for depth in family.depths}
    return [name for name in installed(BACKBONES) if name not in own]


def _from_a_package(network, emb_size, image_size, versions):
    """Return the symbol a package's ``build(emb_size, image_size, versions)`` gives, refusing what is no embedding."""
    with mx.name.NameManager():
        symbol = load(BACKBONES, network)(emb_size, image_size, versions)
    if not isinstance(symbol, mx.sym.Symbol) or len(symbol.list_outputs()) != 1:
        raise InputError(f"{BACKBONES} {network}: expected a symbol with one output, the embedding, received "
                         f"{symbol.list_outputs() if isinstance(symbol, mx.sym.Symbol) else type(symbol).__name__}")
    _check_size(symbol, network, emb_size, image_size, versions)
    shape = symbol.infer_shape(data=(1, 3, *image_size))[1][0]
    if shape != (1, emb_size):
        raise InputError(f"{BACKBONES} {network}: expected an embedding of shape (1, {emb_size}), received {shape}")
    return symbol


def _parse(network):
    """Return (letter, depth) of a network that is built."""
    match = re.fullmatch(r"([a-z])(\d+)", network)
    letter, depth = (match[1], int(match[2])) if match else (network[:1], None)
    if letter in FAMILIES and depth in FAMILIES[letter].depths:
        return letter, depth
    if letter in FAMILIES and match:
        family, depths = FAMILIES[letter].name, FAMILIES[letter].depths
        raise InputError(f"network is not built: expected of {family} one of "
                         f"{', '.join(f'{letter}{d}' for d in depths)}, received network={network}; "
                         "`network` pretrained uses the checkpoint's own graph")
    what = f" ({_NOT_BUILT[letter]})" if letter in _NOT_BUILT else ""
    families = "; ".join(f"{letter} {family.name}: {', '.join(f'{letter}{d}' for d in family.depths)}"
                         for letter, family in FAMILIES.items())
    added = "".join(f"; {name}, of an installed package" for name in _added())
    raise InputError(f"network is not built: expected one of {families}{added}; received network={network}{what}; "
                     "`network` pretrained uses the checkpoint's own graph")


def _check_versions(network, letter, versions):
    choices = {**FAMILIES[letter].choices, "act": embedding_output.ACTIVATIONS, "output": embedding_output.OUTPUTS}
    for flag, allowed in choices.items():
        value = getattr(versions, flag)
        if value not in allowed and flag != "output":  # the head refuses with its own reasons
            raise InputError(f"{network} has no such version: expected version-{flag} "
                             f"{', '.join(map(str, allowed))}, received version-{flag}={value}")
    if letter == "m" and not int(32 * versions.multiplier) >= 1:
        raise InputError(f"{network} cannot be built: expected a multiplier of at least 1/32, received "
                         f"version-multiplier={versions.multiplier}")


def _check_size(symbol, network, emb_size, image_size, versions):
    try:
        _arg_shapes(symbol, image_size)
    except mx.base.MXNetError as error:
        raise InputError(f"{network} with version-output={versions.output} cannot be built: expected sizes its layers "
                         f"can take, received image-size={image_size[0]},{image_size[1]} emb-size={emb_size} "
                         f"({last_line(error)}); `image_size` 112,112 `version_output` E") from None


def initializer(network):
    """Return the initializer ``train_softmax.py`` gives a network; its ``network`` need not be built here.

    Xavier with magnitude 2: Gaussian by fan-out for ``r`` and ``y`` and the networks of installed packages, by fan-in
    for ``i`` and ``x``, uniform by fan-in for the rest (``m`` …).

    Examples
    --------
    >>> initializer("r50").dumps()
    '["xavier", {"rnd_type": "gaussian", "factor_type": "out", "magnitude": 2}]'
    """
    kind = {"r": ("gaussian", "out"), "y": ("gaussian", "out"), "i": ("gaussian", "in"), "x": ("gaussian", "in")}
    rnd_type, factor_type = ("gaussian", "out") if network in _added() else kind.get(network[:1], ("uniform", "in"))
    return mx.init.Xavier(rnd_type=rnd_type, factor_type=factor_type, magnitude=2)


def current_names(arg_params):
    """Return the parameters under the names `face_network` uses.

    MobileFaceNet checkpoints of 2018 (``mobilefacenet-y1``) call the weight of ``pre_fc1`` ``fc1_weight``. It is
    renamed where ``pre_fc1_bias`` shows that layer and ``pre_fc1_weight`` is missing; everything else is passed on.

    Parameters
    ----------
    arg_params : dict of str to anything

    Examples
    --------
    >>> current_names({"fc1_weight": "w", "pre_fc1_bias": "b"})
    {'pre_fc1_weight': 'w', 'pre_fc1_bias': 'b'}
    """
    if "pre_fc1_bias" not in arg_params or "pre_fc1_weight" in arg_params:
        return dict(arg_params)
    return {_OLD_NAMES.get(name, name): value for name, value in arg_params.items()}


def identify(arg_shapes, image_size=(112, 112)):
    """Say which flags build exactly a checkpoint's parameters.

    Parameters
    ----------
    arg_shapes : dict of str to tuple of int
        Every parameter of the checkpoint (auxiliary states aside); ``fc7`` may be among them.
    image_size : (int, int)
        Of the images the checkpoint was trained on, height and width.

    Returns
    -------
    list of str
        Flags, those at their default left out except network, output and embedding size; empty when none is found.

    Notes
    -----
    Activations without a slope leave no parameters: any of them is called relu. Of networks with equal parameters
    (outputs E and I, r49 and r50, …) the commoner is given.

    Examples
    --------
    >>> net = face_network("y1", 128, versions=Versions(output="GDC"))
    >>> shapes = dict(zip(net.list_arguments(), net.infer_shape(data=(1, 3, 112, 112))[0]))
    >>> identify({name: shape for name, shape in shapes.items() if name != "data"})
    ['--network y1', '--version-output GDC', '--emb-size 128']
    """
    shapes = {name: tuple(shape) for name, shape in current_names(arg_shapes).items() if name not in _CLASSIFIER}
    emb_size = next((shapes[name][0] for name in ("fc1_gamma", "fc1_bias") if name in shapes), 0)
    if not emb_size:
        return []
    for letter, depth, versions in _candidates(shapes):
        body = _body(letter, depth, versions)
        if not set(body.list_arguments()) - {"data"} <= set(shapes):
            continue
        for output in embedding_output.OUTPUTS:
            found = dataclasses.replace(versions, output=output)
            if _builds(embedding_output.embedding_output(body, emb_size, found), shapes, image_size):
                return _flags(f"{letter}{depth}", emb_size, found)
    return []


def _candidates(shapes):
    """Yield (letter, depth, Versions) worth building, defaults first."""
    if "conv0_weight" in shapes:
        networks = [("r", depth) for depth in reversed(list(face_resnet.STAGES)) if _has_stages(depth, shapes)]
    else:
        networks = [("y", number) for number in mobilefacenet.BLOCKS] + [("m", 1)]
    multiplier = shapes["conv_1_conv2d_weight"][0] / 32 if "conv_1_conv2d_weight" in shapes else 1.0
    for letter, depth in networks:
        flags = ("unit", "se", "input")
        choices = [sorted(FAMILIES[letter].choices[flag], key=lambda value: value != getattr(_DEFAULTS, flag))
                   for flag in flags]
        for unit, se, first, act in itertools.product(*choices, ("prelu", "relu")):
            yield letter, depth, Versions(se=se, input=first, unit=unit, act=act,
                                          multiplier=multiplier if letter == "m" else 1.0)


def _has_stages(depth, shapes):
    return all(f"stage{stage}_unit{count}_conv1_weight" in shapes
               and f"stage{stage}_unit{count + 1}_conv1_weight" not in shapes
               for stage, count in enumerate(face_resnet.STAGES[depth], 1))


def _builds(symbol, shapes, image_size):
    names = symbol.list_arguments()
    if set(names) - {"data"} != set(shapes):
        return False
    try:
        inferred = _arg_shapes(symbol, image_size)
    except mx.base.MXNetError:
        return False
    return all(shapes.get(name, shape) == shape for name, shape in zip(names, inferred))


def _arg_shapes(symbol, image_size):
    with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints its arguments before it raises
        return symbol.infer_shape(data=(1, 3, *image_size))[0]


def _flags(network, emb_size, versions):
    changed = [f"--version-{flag} {getattr(versions, flag)}" for flag in ("se", "input", "unit", "multiplier", "act")
               if getattr(versions, flag) != getattr(_DEFAULTS, flag)]
    return [f"--network {network}", f"--version-output {versions.output}", f"--emb-size {emb_size}", *changed]
