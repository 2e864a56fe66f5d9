"""``mxft import``: weights of PyTorch, timm, insightface, Keras or ONNX as an ordinary MXNet checkpoint."""
from mxft.commandline.arguments import Parser, add_input_options, input_spec, whole
from mxft.errors import InputError, MxftError

EXAMPLES = """\
examples:
  mxft import --from timm --arch resnet50.tv_in1k --weights model.safetensors \\
      --prefix models/resnet-50
  mxft import --from torchvision --arch mobilenet_v2 \\
      --weights mobilenet_v2-b0353104.pth --prefix models/mobilenetv2
  mxft import --from keras --arch vgg16 --weights vgg16.h5 --prefix models/vgg16
  mxft import --from onnx --weights net.onnx --image-shape 3,224,224 \\
      --prefix models/net
  mxft import --from arcface-torch --arch r50 --weights backbone.pth \\
      --prefix models/r50
  mxft import --from onnx --weights buffalo_l.zip --prefix models/w600k-r50
  mxft import --from torch-mxft --arch runs/photos --weights trained.pth \\
      --prefix models/trained
  mxft import --list

Nothing in a weight file is executed. .safetensors are read without PyTorch;
.pth needs torch, .h5 h5py, .onnx onnx and onnxruntime, and pip install
'mxft[import]' brings them all. An ONNX network is compared with ONNX Runtime
before it is written. ResNets of PyTorch are GluonCV's v1b, those of Keras
Gluon's v1, the iresnets of arcface-torch insightface's own r18 … r100. Of a
model pack, a zip or a folder of .onnx files, the face recognition network is
imported. torch-mxft is a checkpoint that became a module of PyTorch
(mxft.to_torch, mxft export --to torch), was trained there and comes back:
--arch names the checkpoint, whose manifest is kept. The manifest holds the
input the network is usually published with; --image-shape, --rgb-mean,
--rgb-std and --resize state another.
"""


def parser():
    """Return the argument parser."""
    from mxft.importing import sources

    p = Parser(prog="mxft import", description="Turn another framework's weights into an MXNet checkpoint.",
               epilog=EXAMPLES)
    p.add_argument("--from", dest="source", choices=sources(), metavar="SOURCE",
                   help=f"whose names the file has: {', '.join(sources())}")
    p.add_argument("--arch", metavar="NAME", help="the network, as its source calls it (not for onnx); of "
                   "torch-mxft the checkpoint it was made of")
    p.add_argument("--weights", metavar="FILE", help=".safetensors, .pth, .h5 or .onnx; of onnx also a model pack")
    p.add_argument("--prefix", metavar="PREFIX", help="of the files to write")
    p.add_argument("--epoch", type=whole(0), default=0, metavar="N", help="number of the .params file (default: 0)")
    p.add_argument("--classes", metavar="FILE", help="names of the outputs, one a line, for the manifest")
    p.add_argument("--resize", type=whole(1), metavar="N", help="short side before the crop, in pixels")
    p.add_argument("--force", action="store_true", help="replace a checkpoint of that prefix")
    p.add_argument("--list", action="store_true", help="print the networks of every source")
    add_input_options(p)
    return p


def main(argv=None):
    """Run ``mxft import``."""
    args = parser().parse_args(argv)

    if args.list:
        _list(args.source)
        return
    _check(args)
    from mxft.api.conversion import with_usual_input
    from mxft.api.models import find_model
    from mxft.data.classes import read_classes
    from mxft.importing import import_weights
    from mxft.network.checkpoint import require_free_prefix
    from mxft.network.normalisation import with_mean_image

    require_free_prefix(args.prefix, args.epoch, args.force, "prefix")
    classes = read_classes(args.classes, unique=False) if args.classes else None
    size = args.image_shape[1] if args.image_shape else None
    arch = find_model(args.arch) if args.source == "torch-mxft" else args.arch
    checkpoint = import_weights(args.source, args.weights, arch, classes, size)
    if args.mean_image:
        checkpoint.manifest["input"] = input_spec(args, checkpoint.input_spec).to_dict()
        checkpoint = with_mean_image(checkpoint, args.mean_image)
    spec = input_spec(args, checkpoint.input_spec)
    checkpoint.manifest["input"] = spec.to_dict()
    checkpoint = with_usual_input(checkpoint, spec, size, args.resize)
    model = checkpoint.save(args.prefix, args.epoch)
    print(_told(checkpoint, checkpoint.input_spec, model))
    print(f"wrote {model}: {args.prefix}-symbol.json, -{args.epoch:04d}.params, -manifest.json")


def _list(only=None):
    """Print the networks of every source or of one; a package's that cannot be imported is named, and hides none."""
    from mxft.importing import architectures, sources

    for source in [only] if only else sources():
        try:
            known = {"onnx": "any classifier or face network of its usual operators",
                     "torch-mxft": "any checkpoint that became a module of PyTorch"}.get(source)
            known = known or ", ".join(architectures(source))
        except MxftError as error:
            known = str(error)
        print(f"{source}: {known}")


def _check(args):
    """Refuse what can be refused before anything is read."""
    for name in ("source", "weights", "prefix", *(() if args.source == "onnx" else ("arch",))):
        if not getattr(args, name):
            flag = {"source": "--from"}.get(name, f"--{name}")
            raise InputError(f"arguments are missing: expected {flag}, received none; mxft import --list shows the "
                             "networks")
    if args.source == "onnx" and args.arch:
        raise InputError(f"--arch: expected none with --from onnx, whose files hold the network, received "
                         f"arch={args.arch!r}")


def _told(checkpoint, spec, model):
    """Return what a person wants to know of what was imported."""
    numbers = sum(value.size for value in checkpoint.arg_params.values())
    outputs = ", ".join(f"{output.size or ''} {output.kind}".strip() for output in checkpoint.anatomy.outputs)
    return (f"{checkpoint.manifest['source']}: {len(checkpoint.arg_params)} tensors ({numbers:,} parameters), "
            f"{len(checkpoint.aux_params)} moving statistics, {outputs}; {_use(checkpoint, model)}\n"
            f"input: {spec.describe()}")


def _use(checkpoint, model):
    """Return what can be done with it: the layer for a new head; of a face network train_softmax.py's flags."""
    from mxft.network.anatomy.outputs import EMBEDDING, FACE_SIZES

    anatomy = checkpoint.anatomy
    if anatomy.output().kind == EMBEDDING and checkpoint.input_spec.to_dict()["size"] in FACE_SIZES:
        return (f"{anatomy.require_embedding().name} is the embedding of a face: train_softmax.py takes it with "
                f"{_face_flags(checkpoint.manifest)} --pretrained {model}{_folded(checkpoint)}")
    return (f"a new head is put on {anatomy.feature.name}" if anatomy.feature else
            "no classifier is found: name the layer for a new head with --layer")


def _folded(checkpoint):
    """Return what to mind where an exporter folded BatchNorms into convolutions, whose biases tell it."""
    from mxft.network.graph import Graph

    convolutions = [node for node in Graph(checkpoint.symbol).operators() if node.op == "Convolution"]
    folded = [node for node in convolutions if node.attrs.get("no_bias", "False") != "True"]
    if 2 * len(folded) <= len(convolutions):
        return ""
    return (f" --lr 0.001, or lower: BatchNorms are folded into {len(folded)} of its {len(convolutions)} convolutions, "
            "and do not steady training any more")


def _face_flags(manifest):
    """Return the flags with which train_softmax.py trains an imported network."""
    known = manifest.get("network") or {}
    if not known.get("version_output"):
        return "--network pretrained"
    return f"--network {known['name']} --version-output {known['version_output']} --emb-size {known['emb_size']}"
