"""``mxft layers``: a checkpoint's layers with output shapes and parameter counts, the feature layer marked."""
from mxft.cli.arguments import Parser, image_shape

EXAMPLES = """\
examples:
  mxft layers resnet-50,0
  mxft layers models/resnet-50-symbol.json --image-shape 3,224,224

The marked layer (*) is where a new head goes unless --layer names another.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft layers", epilog=EXAMPLES,
               description="List a checkpoint's layers with output shapes and parameter counts.")
    p.add_argument("model", metavar="PREFIX,EPOCH", help="checkpoint, folder of a run, zoo name, or -symbol.json")
    p.add_argument("--image-shape", type=image_shape, metavar="C,H,W",
                   help="size of one image (default: the manifest's, or 3,224,224)")
    p.add_argument("--all", action="store_true", help="also layers without parameters before the last ten")
    return p


def main(argv=None):
    """Run ``mxft layers``."""
    args = parser().parse_args(argv)
    from mxft.errors import InputError
    from mxft.surgery import find_feature_layer, list_layers

    symbol, spec = _load(args.model)
    shape = args.image_shape or (spec.shape if spec else (3, 224, 224))
    layers = list_layers(symbol, shape)
    try:
        feature = find_feature_layer(symbol)
    except InputError as error:
        feature = None
        print(f"note: {error}")
    _print(layers, feature, args.all)
    total = sum(layer.parameters for layer in layers)
    print(f"{len(layers)} layers, {total:,} numbers at {shape[2]}x{shape[1]}")
    if feature:
        behind = f", classifier {feature.classifier}" if feature.classifier else " (the network ends in an embedding)"
        print(f"feature layer: {feature.name}{behind}")


def _load(model):
    from mxft.cli.models import find_model
    from mxft.network.checkpoint import load_checkpoint, load_symbol

    if model.endswith(".json"):
        return load_symbol(model), None
    checkpoint = load_checkpoint(find_model(model))
    return checkpoint.symbol, checkpoint.input_spec


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
