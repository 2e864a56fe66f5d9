"""CNN codes: a pretrained network as feature extractor, a classifier on top.

    python recipes/cnn_codes_svm.py --model mobilenet-v2-1.0,0 \\
        --images caltech256-subset.tar --per-class 12 --run runs/cnn-codes

What a network trained on ImageNet gives before its last layer is a description
of a picture good enough for a linear classifier: no training, one pass over the
images. The images are each seen once, cut in the centre, and five classifiers
are compared: nearest neighbours by cosine, class means (imprinting,
arXiv:1712.07136), ridge regression, a linear SVM, and softmax (logistic)
regression. Penalties are chosen on a part of the training images.

When to do so. New images few and like the old: exactly this. With fewer than
about 1,000 images in all it is the safer choice than fine-tuning, which would
overfit; an SVM hardly can. Few and unlike the old (drawings): the
last layers know too much of photographs, take an earlier layer by --layer
(mxft layers lists them). Many images: fine-tune, from the head made here:
`mxft finetune --require-head --model runs/cnn-codes/softmax`.

The arithmetic: 256 classes x 12 = 3,072 images make the codes, 1,280 numbers
each, 16 MB; 256 x 6 = 1,536 validate. SVM, softmax, ridge and class means are
each saved as an ordinary checkpoint, network and head, for `mxft score`.

Obtained on that set, two CPU cores: see recipes/README.md.
"""
import os
import pathlib
import shlex
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command
from mxft.commandline.arguments import add_device_options, add_input_options, input_spec, whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.evaluation.packing import default_resize  # noqa: E402
from mxft.options import QUALITY  # noqa: E402

SOLVERS = {"class means": "imprint", "ridge": "ridge", "SVM": "svm", "softmax": "logistic"}


def parser():
    """Return the argument parser."""
    p = recipe_parser("cnn_codes_svm", __doc__)
    p.add_argument("--images", required=True, metavar="PATH", help="folder with a folder of images a class, or .tar")
    p.add_argument("--model", default="mobilenet-v2-1.0,0", metavar="PREFIX,EPOCH",
                   help="pretrained checkpoint (default: mobilenet-v2-1.0,0)")
    p.add_argument("--run", required=True, metavar="DIR", help="folder for the checkpoints: new or empty")
    p.add_argument("--per-class", type=whole(1), default=12, metavar="N", help="training images a class (default: 12)")
    p.add_argument("--layer", metavar="NAME", help="whose output is the code (default: the feature layer)")
    p.add_argument("--neighbours", type=whole(1), default=5, metavar="K", help="that vote (default: 5)")
    p.add_argument("--work", default="data-cache", metavar="DIR", help="for photographs and records")
    p.add_argument("--batch-size", type=whole(1), default=32, metavar="N", help="images at a time (default: 32)")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of the splits (default: 0)")
    add_input_options(p)
    add_device_options(p)
    return p


def pack(args, spec):
    """Return the records of the images, split and packed unless an earlier run did."""
    from mxft.data.datasets import prepare_records
    from mxft.files.archive import folder_of
    from mxft.workflows.told import say_split

    folder, resize = folder_of(args.images, args.work), default_resize(spec)
    prefix = os.path.join(args.work, f"{pathlib.Path(folder).name}-{args.per_class}-{resize}-seed{args.seed}", "codes")
    records, split = prepare_records(folder, prefix, args.per_class, args.seed, resize=resize, quality=QUALITY,
                                     num_thread=args.data_nthreads or os.cpu_count() or 1)
    say_split(split, records)
    return records


def extract(network, spec, path, args):
    """Return codes ``(N, D)`` and labels ``(N,)`` of a record file: what enters the network's last layer."""
    from mxft.data.iterators import RecordIterator
    from mxft.data.labels import scan_labels
    from mxft.data.progress import progress
    from mxft.devices import contexts
    from mxft.features.extraction import extract_view
    from mxft.inference.executor import InferenceExecutor
    from mxft.surgery import cut_at

    count = len(scan_labels(path).ids)
    executor = InferenceExecutor(cut_at(network.symbol, network.feature.name), network.arg_params, network.aux_params,
                                 spec.shape, min(args.batch_size, count), contexts(args.gpus)[0])
    executor.expect(count)
    iterator = RecordIterator(path, spec, executor.batch_size, count, threads=args.data_nthreads)
    with progress(count, "codes") as advance:
        view = extract_view(executor, iterator, progress=advance)
    return view.features.reshape(count, -1), view.labels.astype(int)


def neighbours_top1(train, val, k):
    """Return the accuracy of a vote of the `k` nearest training images by cosine, the nearer counting more."""
    from sklearn.neighbors import KNeighborsClassifier

    mean = train[0].mean(axis=0)
    (codes, labels), (queries, wanted) = ((_unit(features - mean), labels) for features, labels in (train, val))
    model = KNeighborsClassifier(min(k, len(codes)), weights="distance", algorithm="brute")  # of unit rows: the cosine
    return float(model.fit(codes, labels).score(queries, wanted))


def _unit(rows):
    import numpy as np

    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def save(folder, solved, network, manifest, top1):
    """Save network and fitted head as an ordinary checkpoint; return ``prefix,epoch``."""
    from mxft.compat import mx
    from mxft.training.run import RunFolder

    weight, bias = network.head_parameters
    args = {**network.arg_params, weight: mx.nd.array(solved.weight), bias: mx.nd.array(solved.bias)}
    return RunFolder(folder, network.symbol, manifest).save("best", args, network.aux_params,
                                                            {"top1": top1, "solver": solved.solver,
                                                             "regularisation": solved.regularisation})


def main(argv=None):
    """Pack, extract the codes, fit, compare."""
    args = parser().parse_args(argv)
    from mxft.features.solvers import solve_head
    from mxft.network.checkpoint import load_checkpoint, parent_entry
    from mxft.network.input_spec import InputSpec
    from mxft.training.network import with_new_head
    from mxft.training.run import check_run_folder

    check_run_folder(args.run)
    checkpoint = load_checkpoint(args.model)
    spec = input_spec(args, checkpoint.input_spec, checkpoint.assumed_spec(InputSpec()))
    with_new_head(checkpoint, 2, spec.shape, args.layer)
    records = pack(args, spec)
    network = with_new_head(checkpoint, len(records.classes), spec.shape, args.layer)
    began = time.perf_counter()
    train, val = (extract(network, spec, path, args) for path in (records.train, records.val))
    seconds = time.perf_counter() - began
    images = len(train[0]) + len(val[0])
    print(f"codes of {network.feature.name}: {len(train[0])} + {len(val[0])} images x {train[0].shape[1]} in "
          f"{seconds:.1f} s ({images / seconds:.0f} images/s)")
    manifest = {"format": 1, "classes": records.classes, "input": spec.to_dict(), "packing": records.packing,
                "head": {"layer": network.layer, "feature": network.feature.name, "num_classes": network.num_classes,
                         "loss": "softmax"}, "parent": parent_entry(checkpoint)}
    print(f"{'classifier':12} {'top-1':>7} {'seconds':>8}  {'penalty':>8}  checkpoint", flush=True)
    began = time.perf_counter()
    top1 = neighbours_top1(train, val, args.neighbours)
    print(f"{'neighbours':12} {top1:7.4f} {time.perf_counter() - began:8.1f}  {'k=' + str(args.neighbours):>8}  -",
          flush=True)
    for name, solver in SOLVERS.items():
        solved = solve_head(solver, *train, network.num_classes, args.seed)
        top1 = float(((val[0] @ solved.weight.T + solved.bias).argmax(axis=1) == val[1]).mean())
        saved = save(os.path.join(args.run, name.replace(" ", "-").lower()), solved, network, manifest, top1)
        print(f"{name:12} {top1:7.4f} {solved.seconds:8.1f}  {solved.regularisation:8g}  {saved}", flush=True)
    print(f"mxft score --model {shlex.quote(os.path.join(args.run, 'softmax'))} {shlex.quote(records.val)}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command("cnn_codes_svm", main))
