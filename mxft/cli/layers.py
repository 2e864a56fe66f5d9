"""``mxft layers``: a checkpoint's layers with output shapes and parameter counts, the feature layer marked."""
import dataclasses
import json

from mxft.commandline.arguments import Parser, image_shape
from mxft.errors import InputError

EXAMPLES = """\
examples:
  mxft layers resnet-50,0
  mxft layers models/resnet-50-symbol.json --image-shape 3,224,224

The marked layer (*) is where a new head goes unless --layer names another. The
last lines say what the network takes, what it gives and what that is
(probabilities, logits, values, an embedding, a map), where its features are,
and, of a run, how its probabilities are calibrated.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft layers", epilog=EXAMPLES,
               description="List a checkpoint's layers with output shapes and parameter counts.")
    p.add_argument("model", metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, zoo name, or -symbol.json")
    p.add_argument("--image-shape", type=image_shape, metavar="C,H,W",
                   help="size of one image (default: the manifest's, or 3,224,224)")
    p.add_argument("--all", action="store_true", help="also layers without parameters before the last ten")
    p.add_argument("--json", action="store_true", help="print all of it as one JSON object")
    return p


def main(argv=None):
    """Run ``mxft layers``."""
    args = parser().parse_args(argv)
    from mxft.command.flags import as_flags
    from mxft.surgery import list_layers

    symbol, anatomy, calibration = _load(args.model)
    shape = args.image_shape or anatomy.default_spec().shape
    try:
        layers = list_layers(symbol, shape)
    except InputError as error:
        if args.image_shape:
            raise
        raise InputError(f"{error.message}; --image-shape C,H,W tells the network's own") from None
    if args.json:
        print(json.dumps({**anatomy.to_dict(), "image_shape": list(shape),
                          **({"calibration": calibration.to_dict()} if calibration else {}),
                          "layers": [dataclasses.asdict(layer) for layer in layers]}, ensure_ascii=False))
        return
    _print(layers, anatomy.feature, args.all)
    total = sum(layer.parameters for layer in layers)
    print(f"{len(layers)} layers, {total:,} parameters at {shape[2]}x{shape[1]}")
    if anatomy.feature is None:
        print(f"note: {as_flags(anatomy.no_feature)}")
    print(anatomy.describe())
    if calibration:
        print(f"probabilities are {calibration.describe()}; expected calibration error {calibration.ece:.4f} without, "
              f"{calibration.calibrated_ece:.4f} with")


def _load(model):
    """Return (symbol, anatomy, calibration) of a checkpoint, or of a symbol alone."""
    from mxft.api.models import find_model
    from mxft.network.anatomy import anatomy_of
    from mxft.network.checkpoint import load_checkpoint, load_symbol

    if model.endswith(".json"):
        symbol = load_symbol(model)
        return symbol, anatomy_of(symbol), None
    checkpoint = load_checkpoint(find_model(model))
    return checkpoint.symbol, checkpoint.anatomy, checkpoint.calibration


def _print(layers, feature, everything):
    last = max((i for i, layer in enumerate(layers) if feature and layer.name == feature.name), default=None)
    shown = [(i, layer) for i, layer in enumerate(layers)
             if everything or layer.parameters or i >= len(layers) - 10 or i == last]
    width = max(len(layer.name) for _, layer in shown)
    for i, layer in shown:
        batch = "x".join(map(str, layer.output_shape[1:])) or "-" if layer.output_shape else "?"
        count = f"{layer.parameters:,}" if layer.parameters else ""
        print(f"{'*' if i == last else ' '} {layer.name:<{width}}  {layer.op:<16} {batch:>14} {count:>12}")
    if len(shown) < len(layers):
        print(f"  ({len(layers) - len(shown)} layers without parameters not shown; --all shows them)")
