"""Seconds to train a new head on a frozen backbone, five ways, from bound records to the last checkpoint, taking turns.

    python tests/bench/bench_freezing.py [--model PREFIX,EPOCH] [--image-shape 3,224,224] [--classes 8]
        [--per-class 12] [--epochs 2] [--batch-size 32] [--lr 0.05] [--augment 0] [--views 1] [--runs 2]

Photographs are those of the first classes of the Caltech-256 subset in ../shared or $MXFT_TESTDATA, 12 of each to train
on and 6 to validate on after every epoch. All 256 classes (about 25 minutes on two cores):

    python tests/bench/bench_freezing.py --classes 256 --epochs 8 --runs 1

Rows: ``lr_mult`` 0 on every variable of the backbone, as the old scripts freeze, through a bare ``Module.fit``;
``fixed_param_names`` through the same; mxft's head plan; the frozen backbone run for every batch; the frozen backbone's
features computed once, in this run or (last row) in an earlier one.
"""
import argparse
import contextlib
import io
import os
import tarfile
import tempfile

from turns import rates, shared, show, take_turns


def pack_classes(archive, classes, per_class, folder):
    """Unpack the photographs of the first `classes` classes and split them; return the Records and both counts."""
    from mxft.data.datasets import prepare_records
    from mxft.data.labels import scan_labels

    with tarfile.open(archive) as tar:
        wanted = [m for m in tar if m.isfile() and int(m.name.split("/")[1].split(".")[0]) <= classes]
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(folder, members=wanted, **safe)
    records, _ = prepare_records(os.path.join(folder, "256_ObjectCategories"), os.path.join(folder, "bench"),
                                 per_class=per_class, resize=256, num_thread=2, show=False)
    return records, [len(scan_labels(path).ids) for path in (records.train, records.val)]


class Contenders:
    """The ways to train, each ``() -> top-1`` of the last epoch on the validation records."""

    def __init__(self, args, records, counts, scratch):
        from mxft.network.checkpoint import load_checkpoint
        from mxft.network.input_spec import InputSpec

        self._args, self._records, self._counts, self._scratch = args, records, counts, scratch
        self._spec = InputSpec(tuple(int(number) for number in args.image_shape.split(",")))
        self._checkpoint, self._runs = load_checkpoint(args.model), 0

    def by_name(self):
        """Return {name of the row: function}."""
        return {"lr_mult, Module.fit": lambda: self.bare("lr_mult"), "fixed, Module.fit": lambda: self.bare("fixed"),
                "head plan": self.plan, "frozen backbone": lambda: self.backbone("none"),
                "frozen backbone, cache": lambda: self.backbone("memory"),
                "cache of an earlier run": lambda: self.backbone("disk")}

    def _prepare(self):
        """Return the network with its new head, its plan, both iterators and the run folder, all of them new."""
        from mxft.data.iterators import RecordIterator
        from mxft.freeze import freeze_plan
        from mxft.training.fit import seed_everything
        from mxft.training.network import with_new_head
        from mxft.training.run import RunFolder

        seed_everything(0)
        args, self._runs = self._args, self._runs + 1
        network = with_new_head(self._checkpoint, args.classes, self._spec.shape)
        train = RecordIterator(self._records.train, self._spec, args.batch_size, self._counts[0], args.augment, True)
        val = RecordIterator(self._records.val, self._spec, min(args.batch_size, self._counts[1]), self._counts[1])
        run = RunFolder(os.path.join(self._scratch, f"run{self._runs}"), network.symbol, {})
        return network, freeze_plan("head", network.symbol, network.head_parameters), train, val, run

    def _options(self, batches):
        from mxft.training.fit import FitOptions
        from mxft.training.schedule import learning_rate_schedule

        args = self._args
        return (learning_rate_schedule("constant", args.lr, args.epochs, batches),
                FitOptions(epochs=args.epochs, momentum=0.9))

    def bare(self, method):
        """Train as the tutorial does, the backbone frozen by a learning rate of 0 or by ``fixed_param_names``."""
        from mxft.compat import mx
        from mxft.network.graph import Graph
        from mxft.training.fit import silent_logger

        network, plan, train, val, run = self._prepare()
        graph = Graph(network.symbol)
        for node in graph.nodes if method == "lr_mult" else ():
            if node.is_variable and node.name in plan.frozen:
                graph.set_attr(node, "__lr_mult__", "0.0")
                graph.set_attr(node, "__wd_mult__", "0.0")
        module = mx.mod.Module(graph.to_symbol(), logger=silent_logger(),
                               fixed_param_names=list(plan.frozen) if method == "fixed" else None)
        top1 = []
        module.fit(train, val, num_epoch=self._args.epochs, arg_params=network.arg_params, kvstore="device",
                   aux_params=network.aux_params, allow_missing=True, eval_metric="acc",
                   initializer=mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2),
                   optimizer="sgd", optimizer_params={"learning_rate": self._args.lr, "momentum": 0.9},
                   epoch_end_callback=mx.callback.do_checkpoint(run.prefix),
                   eval_end_callback=lambda param: top1.append(param.eval_metric.get()[1]))
        return top1[-1]

    def plan(self):
        """Train by mxft's plan ``head``."""
        from mxft.evaluation.scoring import score_iterator
        from mxft.inference.executor import InferenceExecutor
        from mxft.training.fit import fit

        network, plan, train, val, run = self._prepare()
        schedule, options = self._options(train.batches)

        def validate(arg_params, aux_params):
            score = score_iterator(InferenceExecutor(network.symbol, arg_params, aux_params, self._spec.shape,
                                                     val.batch_size), val)
            return {"top1": score.top1, "loss": score.loss}

        return fit(network.symbol, network.arg_params, network.aux_params, plan, train, run, schedule, options,
                   validate=validate).history[-1]["val_top1"]

    def backbone(self, mode):
        """Train on the frozen backbone."""
        from mxft.features.store import CacheOptions
        from mxft.training.frozen_backbone import fit_frozen_backbone

        network, plan, train, val, run = self._prepare()
        folder = os.path.join(self._scratch, "cache") if mode == "disk" else None
        cache = CacheOptions(mode, folder, views=None if mode == "none" else self._args.views)
        return fit_frozen_backbone(network, plan, train, run, *self._options(train.batches), validation=val,
                                   cache=cache).history[-1]["val_top1"]


def quietly(function):
    """Return the function with nothing on stdout."""
    def run():
        with contextlib.redirect_stdout(io.StringIO()):
            return function()
    return run


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", metavar="PREFIX,EPOCH", help="(default: the shared MobileNetV2)")
    p.add_argument("--image-shape", default="3,224,224")
    p.add_argument("--classes", type=int, default=8)
    p.add_argument("--per-class", type=int, default=12)
    p.add_argument("--epochs", type=int, default=2)
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--lr", type=float, default=0.05)
    p.add_argument("--augment", type=int, default=0)
    p.add_argument("--views", type=int, default=1)
    p.add_argument("--runs", type=int, default=2)
    args = p.parse_args()
    args.model = args.model or shared("models", "mobilenet-v2-1.0,0")
    with tempfile.TemporaryDirectory() as scratch:
        records, counts = pack_classes(shared("data", "caltech256-subset.tar"), args.classes, args.per_class, scratch)
        contenders = Contenders(args, records, counts, scratch)
        quietly(lambda: contenders.backbone("disk"))()  # the earlier run; warms up everything else, too
        functions = {name: quietly(function) for name, function in contenders.by_name().items()}
        seconds, top1 = take_turns(functions, args.runs, warm_up=0, tell=True)
    speeds, notes = rates(counts[0] * args.epochs, seconds), {name: f"top-1 {top1[name]:.3f}" for name in seconds}
    slowest = next(iter(seconds))
    for name in seconds:
        if name != slowest:
            show(f"head of {args.classes} classes, {counts[0]} images x {args.epochs} epochs, with validation",
                 "images/s", {n: speeds[n] for n in (name, slowest)}, name, notes)


if __name__ == "__main__":
    main()
