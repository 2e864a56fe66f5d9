"""Gluon's own fine-tuning: features copied, output new and ten times as fast.

    python recipes/gluon_finetune.py --data caltech256-subset.tar \\
        --per-class 12 --model mobilenet-v2-1.0,0 --run runs/gluon
    python recipes/gluon_finetune.py --data photos --network resnet18_v2 \\
        --weights resnet18_v2.params --run runs/gluon
    mxft score --model runs/gluon data-cache/gluon-photos-256/images-val.rec

Source: "Fine-Tuning" of Dive into Deep Learning (zh.gluon.ai, chapter computer
vision): ResNet-18 v2, output Xavier with lr_mult 10, gluon.Trainer with SGD, lr
0.01, wd 0.001, no momentum, batch 128, 5 epochs; RandomResizedCrop(224) and
mirror for training, Resize(256), CenterCrop(224) for testing; ImageNet mean and
deviation. So the features learn at 0.01 and the output at 0.1. On the Caltech
subset 12 x 256 = 3,072 images train: 3072 / 128 = 24 updates an epoch.

--network is any classifier of Gluon's or GluonCV's zoo that is made of
`features` and `output`; without --weights its numbers are random, and the
chapter's comparison "from scratch" is --lr 0.1 --output-mult 1. --model takes
the features of any symbol checkpoint instead, as a SymbolBlock; also by a name
of the zoo, which is fetched: gluon:resnet18_v2 is the chapter's own network.

At the end the network is written as a symbol checkpoint with its manifest, read
back, and run over the validation records beside the Gluon network: the same
scores, to 1e-4. `mxft score`, `predict` and `finetune` take it from there.
"""
import dataclasses
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.api.models import is_local  # noqa: E402
from mxft.command import run_command
from mxft.commandline.arguments import add_input_options, input_spec, real, whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402
from mxft.errors import InputError, RunError  # noqa: E402

AREA, ASPECT, TOLERANCE = (0.08, 1.0), (3 / 4, 4 / 3), 1e-4


def parser():
    """Return the argument parser."""
    p = recipe_parser("gluon_finetune", __doc__)
    p.add_argument("--data", required=True, metavar="PATH", help="one folder of images a class, or a .tar of it")
    p.add_argument("--classes", default="", metavar="A,B", help="class folders to take (default: all)")
    p.add_argument("--per-class", type=whole(1), default=60, metavar="N", help="training images of each (default: 60)")
    p.add_argument("--network", default="resnet18_v2", metavar="NAME", help="of the zoos (default: resnet18_v2)")
    p.add_argument("--weights", metavar="FILE", help="its .params (default: random)")
    p.add_argument("--model", metavar="PREFIX,EPOCH", help="take the features of this checkpoint, or zoo name, instead")
    p.add_argument("--lr", type=real(above=0), default=0.01, metavar="R", help="of the features (default: 0.01)")
    p.add_argument("--output-mult", type=real(above=0), default=10, metavar="M", help="of the output (default: 10)")
    p.add_argument("--wd", type=real(least=0), default=0.001, metavar="W", help="weight decay (default: 0.001)")
    p.add_argument("--epochs", type=whole(1), default=5, metavar="N", help="(default: 5)")
    p.add_argument("--batch-size", type=whole(1), default=128, metavar="N", help="(default: 128)")
    p.add_argument("--run", metavar="DIR", help="for the checkpoint (default: runs/gluon-NAME, numbered)")
    p.add_argument("--work", default="data-cache", metavar="DIR", help="for photographs and records")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of split, order and new weights")
    add_input_options(p)
    return p


def features_of(args, size):
    """Return the pretrained features: those of a zoo network, or a checkpoint below its classifier."""
    from mxft.backbones.gluon import build, checkpoint_from_gluon
    from mxft.compat import mx
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.graph import internal_output
    from mxft.surgery import data_name, find_feature_layer

    if args.model is None:
        pretrained = build(args.network)
        if not all(hasattr(pretrained, part) for part in ("features", "output")):
            raise InputError(f"network: expected one made of 'features' and 'output', received network="
                             f"{args.network!r}; resnet18_v2, mobilenetv2_1.0 and densenet121 are")
        checkpoint_from_gluon(pretrained, args.weights, input_size=size, seed=args.seed)  # initialises or loads
        return pretrained.features
    checkpoint = load_checkpoint(args.model)
    cut = internal_output(checkpoint.symbol, find_feature_layer(checkpoint.symbol).index)
    block = mx.gluon.SymbolBlock(cut, mx.sym.var(data_name(cut), dtype="float32"))
    for name, parameter in block.collect_params().items():
        value = checkpoint.arg_params.get(name, checkpoint.aux_params.get(name))
        if value is None:
            raise InputError(f"checkpoint is not complete: expected {name}, received model={args.model!r} without it")
        parameter.shape = value.shape
        parameter.initialize(ctx=mx.cpu())
        parameter.set_data(value)
    return block


def with_new_output(features, num_classes, spec, multiplier, seed):
    """Return the chapter's network: features as they are, a new Dense output that learns `multiplier` times as fast."""
    from mxft.compat import mx
    from mxft.training.fit import seed_everything

    seed_everything(seed)
    with mx.name.NameManager():
        net = mx.gluon.nn.HybridSequential(prefix="finetune_")
        with net.name_scope():
            output = mx.gluon.nn.Dense(num_classes, prefix="output_")
        net.add(features, output)
    output.initialize(mx.init.Xavier(), ctx=mx.cpu())
    output.collect_params().setattr("lr_mult", multiplier)
    net(mx.nd.zeros((1, *spec.shape)))
    net.hybridize()
    return net


def train(net, records, trainer, epochs):
    """Train as the chapter's d2l.train does; print loss, accuracy and seconds of every epoch."""
    from mxft.compat import mx

    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    for epoch in range(1, epochs + 1):
        records.reset()
        began, total, right = time.perf_counter(), 0.0, 0.0
        for batch in records:
            rows = batch.data[0].shape[0] - batch.pad
            images, labels = (part[0][:rows].as_in_context(mx.cpu()) for part in (batch.data, batch.label))
            with mx.autograd.record():
                scores = net(images)
                loss = loss_of(scores, labels)
            loss.backward()
            trainer.step(rows)
            total += float(loss.sum().asscalar())  # a float plus a float32 is a float32
            right += float((scores.argmax(axis=1) == labels).sum().asscalar())
        mx.nd.waitall()
        if not total < float("inf"):
            raise RunError(f"training stopped: expected a finite loss, received {total} in epoch {epoch}; try a lower "
                           "--lr")
        print(f"epoch {epoch}/{epochs}: loss {total / records.num_records:.4f}, train top-1 "
              f"{right / records.num_records:.4f}; {time.perf_counter() - began:.0f} s", flush=True)


def export(net, classes, spec, resize, prefix, epoch, source):
    """Write the network as a symbol checkpoint and its manifest; return ``prefix,epoch``."""
    from mxft.backbones.gluon import checkpoint_from_gluon

    checkpoint = checkpoint_from_gluon(net, classes=classes, input_size=spec.shape[1], resize=resize, mean=spec.mean,
                                       scale=spec.scale, source=source)
    return checkpoint.save(prefix, epoch)


def compare(net, model, path, spec):
    """Run the Gluon network and its exported checkpoint over the same records; print the score, refuse a difference."""
    import numpy as np

    from mxft.compat import mx
    from mxft.data.iterators import RecordIterator
    from mxft.data.labels import scan_labels
    from mxft.evaluation.scoring import score_iterator
    from mxft.inference.executor import InferenceExecutor
    from mxft.network.checkpoint import load_checkpoint

    checkpoint, count = load_checkpoint(model), len(scan_labels(path).ids)
    records = RecordIterator(path, spec, min(32, count), count)
    score = score_iterator(InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params,
                                             spec.shape, records.batch_size), records)
    records.reset()
    own = np.concatenate([net(b.data[0].as_in_context(mx.cpu())).asnumpy()[:b.data[0].shape[0] - b.pad]
                          for b in records])
    difference = float(np.abs(own - score.logits).max() / max(1.0, np.abs(own).max()))
    same = int((own.argmax(axis=1) == score.logits.argmax(axis=1)).sum())
    print(f"{model}: {score}\n  beside the Gluon network: largest difference {difference:.1e}, the same class for "
          f"{same} of {count} images")
    if difference > TOLERANCE:
        raise RunError(f"the export is not the network: expected scores within {TOLERANCE:g}, received a difference of "
                       f"{difference:.1e}")


def prepare(args, resize):
    """Pack the photographs; return the Records."""
    from mxft.data.datasets import prepare_records
    from mxft.data.splits import all_but
    from mxft.files.archive import folder_of
    from mxft.workflows.told import say_split

    folder = folder_of(args.data, args.work)
    prefix = os.path.join(args.work, f"gluon-{pathlib.Path(folder).name}-{resize}", "images")
    exclude = all_but(folder, [name for name in args.classes.split(",") if name])
    records, split = prepare_records(folder, prefix, args.per_class, args.seed, exclude, resize=resize, quality=95,
                                     num_thread=os.cpu_count() or 1)
    say_split(split, records)
    return records


def main(argv=None):
    """Pack, copy the features, train, export, compare."""
    args = parser().parse_args(argv)
    from mxft.backbones.gluon import MEAN, SCALE
    from mxft.compat import mx
    from mxft.data.augmentation import Augmentation
    from mxft.data.iterators import RecordIterator
    from mxft.data.labels import scan_labels
    from mxft.evaluation.packing import default_resize
    from mxft.files.whole import check_writable
    from mxft.network.checkpoint import load_checkpoint
    from mxft.network.input_spec import InputSpec
    from mxft.training.run import check_run_folder, free_folder

    if args.model and args.weights:
        raise InputError(f"--weights: expected --network beside it, received --model {args.model}")
    if args.model and not is_local(args.model):
        from mxft import zoo
        args.model = zoo.get_model(args.model)
    own = load_checkpoint(args.model).input_spec or InputSpec() if args.model else InputSpec(mean=MEAN, scale=SCALE)
    spec = dataclasses.replace(input_spec(args, own), resize=None)  # the records are packed at it
    features, resize = features_of(args, spec.shape[1]), default_resize(spec)
    name = pathlib.Path(args.model.rpartition(",")[0] or args.model).name if args.model else args.network
    run = args.run or free_folder(os.path.join("runs", f"gluon-{name}"))
    check_run_folder(run)
    check_writable(args.work, "--work")
    records = prepare(args, resize)
    net = with_new_output(features, len(records.classes), spec, args.output_mult, args.seed)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": args.lr, "wd": args.wd})
    images = RecordIterator(records.train, spec, args.batch_size, len(scan_labels(records.train).ids),
                            Augmentation(resized_crop=AREA, aspect=ASPECT, rand_mirror=True), shuffle=True,
                            seed=args.seed)
    print(f"{name}: {images.num_records} images, {images.batches} updates an epoch; features at {args.lr:g}, output at "
          f"{args.lr * args.output_mult:g}", flush=True)
    train(net, images, trainer, args.epochs)
    source = f"recipes/gluon_finetune.py from {args.model or args.network}"
    model = export(net, records.classes, spec, resize, os.path.join(run, "model"), args.epochs, source)
    compare(net, model, records.val, spec)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("gluon_finetune", main))
