"""Keras's ResNet-50 with its first four stages frozen, and its predictions.

    python recipes/keras_resnet_stages.py finetune --model resnet-50,0 \\
        --data caltech256-subset.tar --run runs/stages
    python recipes/keras_resnet_stages.py predict --network resnet50 \\
        --weights resnet50_v1.params --synset imagenet-synset.txt cat.jpg

finetune: the Keras page freezes layers[:142]. Of Keras's 177 the first 142 end
with the last activation of 14 x 14 pixels:
  input, padding, convolution, BatchNorm, relu, pooling      6    stage 1
  12 + 2 x 10 (a convolution block, identity blocks)        32    stage 2
  12 + 3 x 10                                               42    stage 3
  12 + 5 x 10                                               62    stage 4: 142
Here that is the last residual sum on maps of the size before the last one,
found in the graph of whatever checkpoint is given, or --freeze-through LAYER.
The new layer is fcN for N classes, Glorot uniform as Keras's Dense. The page
gives no training settings; those here are its reference's: SGD 0.001, Nesterov
momentum 0.9, batch 16, 10 epochs; 12 photographs a class train (of the subset's
256 x 18: 3,072 / 16 = 192 steps an epoch), the others validate.

predict, for Gluon's definitions, whose weights come from Gluon's own store or,
converted, from Keras; images are squashed to the input size:
  network      Gluon's name   size  Keras's preprocess_input
  vgg16        vgg16          224   BGR - (103.939, 116.779, 123.68)
  inceptionv3  inception_v3   299   RGB / 127.5 - 1
  resnet50     resnet50_v1    224   BGR - (103.939, 116.779, 123.68)
  mobilenet    mobilenet1.0   224   RGB / 127.5 - 1
Gluon's for all four: (RGB / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224,
0.225). --preprocess says whose weights they are. Without --weights the numbers
are random, and so is the answer.
"""
import dataclasses
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command
from mxft.commandline.arguments import add_device_options, add_input_options, input_spec, real, whole  # noqa: E402
from mxft.commandline.pages import conclude  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402

NETWORKS = {"vgg16": ("vgg16", 224, "caffe"), "inceptionv3": ("inception_v3", 299, "tf"),
            "resnet50": ("resnet50_v1", 224, "caffe"), "mobilenet": ("mobilenet1.0", 224, "tf")}
KERAS_INPUT = {"caffe": {"mean": (123.68, 116.779, 103.939), "scale": (1.0,) * 3},
               "tf": {"mean": (127.5,) * 3, "scale": (1 / 127.5,) * 3}}


def parser():
    """Return the argument parser with its two commands."""
    p = recipe_parser("keras_resnet_stages", __doc__)
    commands = p.add_subparsers(dest="command", required=True, metavar="finetune|predict")
    f = commands.add_parser("finetune", description="Freeze the first four stages, train the fifth and a new fcN.")
    f.add_argument("--model", metavar="PREFIX,EPOCH", help="checkpoint (default: Gluon's ResNet-50, see --weights)")
    f.add_argument("--weights", metavar="FILE", help="Gluon .params of resnet50_v1 (default: random, for a trial)")
    f.add_argument("--data", required=True, metavar="PATH", help="one folder of images a class, or a .tar of it")
    f.add_argument("--classes", default="", metavar="A,B", help="class folders to take (default: all)")
    f.add_argument("--per-class", type=whole(1), default=12, metavar="N", help="training images a class (default: 12)")
    f.add_argument("--freeze-through", metavar="LAYER", help="last frozen layer (default: the end of stage 4)")
    f.add_argument("--run", metavar="DIR", help="run folder (default: runs/keras-resnet-stages, numbered)")
    f.add_argument("--work", default="data-cache", metavar="DIR", help="for photographs and records")
    f.add_argument("--epochs", type=whole(1), default=10, metavar="N", help="(default: 10)")
    f.add_argument("--batch-size", type=whole(1), default=16, metavar="N", help="(default: 16)")
    f.add_argument("--lr", type=real(above=0), default=0.001, metavar="R", help="learning rate (default: 0.001)")
    f.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of split, order and new weights")
    add_input_options(f)
    add_device_options(f)
    g = commands.add_parser("predict", description="Name the five likeliest classes of images.")
    g.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    g.add_argument("--network", choices=list(NETWORKS), default="resnet50", metavar="NAME",
                   help=f"{', '.join(NETWORKS)} (default: resnet50)")
    g.add_argument("--weights", metavar="FILE", help="Gluon .params of that network (default: random)")
    g.add_argument("--preprocess", choices=["gluon", "keras"], default="gluon", metavar="WHOSE",
                   help="gluon, or keras for weights converted from there (default: gluon)")
    g.add_argument("--synset", metavar="FILE", help="1,000 class names, one a line")
    add_device_options(g)
    return p


def gluon_network(network, weights, preprocess="gluon"):
    """Return the Checkpoint of one of NETWORKS, taking RGB; without weights say plainly that it knows nothing."""
    from mxft.backbones.gluon import checkpoint_from_gluon
    from mxft.network.graph import Graph

    name, size, mode = NETWORKS[network]
    if not weights:
        print(f"no --weights: {network} is random and knows nothing; this only shows that it runs", file=sys.stderr)
    keras = KERAS_INPUT[mode] if preprocess == "keras" else {}
    checkpoint = checkpoint_from_gluon(name, weights, input_size=size, resize=size, **keras)
    if keras and mode == "caffe":  # the iterator delivers RGB, the first convolution expects BGR: turn it round
        graph = Graph(checkpoint.symbol)
        weight = next(graph.variables_of(node)[1] for node in graph.operators() if node.op == "Convolution")
        checkpoint.arg_params[weight] = checkpoint.arg_params[weight].flip(axis=1)
    return checkpoint


def end_of_stage_four(symbol, image_shape):
    """Return the last residual sum on maps of the size before the last, or that size's last layer without sums."""
    from mxft.errors import InputError
    from mxft.surgery import list_layers

    layers = [layer for layer in list_layers(symbol, image_shape) if len(layer.output_shape or ()) == 4]
    sizes = list(dict.fromkeys(layer.output_shape[2:] for layer in layers if layer.op == "Convolution"))
    if len(sizes) < 2:
        raise InputError("stages cannot be told: expected convolutions on maps of two sizes or more, received "
                         f"{len(sizes)}; name the last frozen layer with --freeze-through")
    of_size = [layer for layer in layers if layer.output_shape[2:] == sizes[-2]]
    sums = [layer for layer in of_size if layer.op in ("elemwise_add", "broadcast_add", "add_n")]
    return (sums or of_size)[-1].name


def prepare(args, size):
    """Pack the photographs squashed to `size` pixels; return the Records."""
    from mxft.data.datasets import prepare_records
    from mxft.data.splits import all_but
    from mxft.files.archive import folder_of
    from mxft.workflows.told import say_split

    folder = folder_of(args.data, args.work)
    exclude = all_but(folder, [name for name in args.classes.split(",") if name])
    prefix = os.path.join(args.work, f"keras-resnet-{args.per_class}-{size}-seed{args.seed}", "images")
    records, split = prepare_records(folder, prefix, args.per_class, args.seed, exclude, resize=size, squash=True,
                                     num_thread=args.data_nthreads or os.cpu_count() or 1)
    say_split(split, records)
    return records


def finetune_stages(args):
    """Freeze, put fcN on, train."""
    from mxft.compat import mx
    from mxft.errors import InputError
    from mxft.files.whole import check_writable
    from mxft.freeze import FreezeOptions
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.fit import FitOptions
    from mxft.training.preparation import check_recipe
    from mxft.training.recipe import Recipe
    from mxft.training.run import check_run_folder, free_folder
    from mxft.workflows.finetune import finetune

    if args.model and args.weights:
        raise InputError(f"--weights: expected no --model beside it, received model={args.model!r}")
    run = args.run or free_folder(os.path.join("runs", "keras-resnet-stages"))
    check_run_folder(run)
    check_writable(args.work, "--work")
    checkpoint = load_checkpoint(args.model) if args.model else gluon_network("resnet50", args.weights)
    spec = dataclasses.replace(input_spec(args, checkpoint.input_spec, InputSpec()), resize=None)  # squashed instead
    through = args.freeze_through or end_of_stage_four(checkpoint.symbol, spec.shape)
    glorot = mx.init.Xavier(rnd_type="uniform", factor_type="avg", magnitude=3)  # Dense's own, of fcN
    recipe = Recipe(plan="full", freezing=FreezeOptions(through=through), augment=0, seed=args.seed,
                    batch_size=args.batch_size, learning_rate=args.lr,
                    fit=FitOptions(epochs=args.epochs, optimizer="nag", momentum=0.9, initializer=glorot))
    check_recipe(recipe, checkpoint, spec, args.gpus)
    records = prepare(args, max(spec.shape[1:]))
    recipe = dataclasses.replace(recipe, head_name=f"fc{len(records.classes)}")
    print(f"frozen through {through}")
    return conclude(finetune(checkpoint, records, run, recipe, spec, args.gpus, threads=args.data_nthreads))


def predict(args):
    """Name the five likeliest classes of each image; exit status 3 where one cannot be read."""
    from mxft.devices import contexts
    from mxft.errors import InputError
    from mxft.evaluation.prediction import predict_files
    from mxft.files.whole import require_file

    names = [f"class {i}" for i in range(1000)]
    if args.synset:
        with open(require_file(args.synset, "synset"), encoding="utf-8") as f:
            names = [line.strip() for line in f if line.strip()]
    if len(names) != 1000:
        raise InputError(f"--synset: expected 1000 class names, received {len(names)} in {args.synset}")
    checkpoint = gluon_network(args.network, args.weights, args.preprocess)
    spec = dataclasses.replace(checkpoint.input_spec, resize=None)
    print(f"{args.network}: {spec.describe()}")
    packing = {"resize": spec.shape[1], "squash": True, "encoding": ".png"}
    predictions = predict_files(checkpoint, args.images, spec, packing, min(8, len(args.images)),
                                contexts(args.gpus)[0], args.data_nthreads)
    for p in predictions:
        print(p.path if p.problem is None else f"{p.path}\n  cannot be read: {p.problem}")
        for i, probability in p.top(5) if p.problem is None else ():
            print(f"  {probability:.4f}  {names[i]}")
    return 3 if any(p.problem for p in predictions) else 0


def main(argv=None):
    """Run one of the two commands."""
    args = parser().parse_args(argv)
    return finetune_stages(args) if args.command == "finetune" else predict(args)


if __name__ == "__main__":
    sys.exit(run_command("keras_resnet_stages", main))
