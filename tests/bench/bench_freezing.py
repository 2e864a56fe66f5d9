"""Seconds to train a new head on a frozen trunk, five ways, from bound records to the last checkpoint, taking turns.

    python tests/bench/bench_freezing.py [--model PREFIX,EPOCH] [--image-shape 3,224,224] [--classes 8]
        [--per-class 12] [--epochs 2] [--batch-size 32] [--lr 0.05] [--augment 0] [--views 1] [--runs 2]

Photographs are those of the first classes of the Caltech-256 subset in ../shared or $MXFT_TESTDATA, 12 of each to train
on and 6 to validate on after every epoch. The whole of it, the setting of issue 4 (about 25 minutes on two cores):

    python tests/bench/bench_freezing.py --classes 256 --epochs 8 --runs 1

Rows: ``lr_mult`` 0 on every variable of the trunk, as the old scripts freeze, through a bare ``Module.fit``;
``fixed_param_names`` through the same; mxft's head plan; the frozen trunk run for every batch; the frozen trunk's
features computed once, in this run or (last row) in an earlier one.
"""
import argparse
import contextlib
import io
import os
import statistics
import sys
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, os.pardir, os.pardir)
sys.path.insert(0, ROOT)


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
        from mxft.checkpoint import load_checkpoint
        from mxft.data.normalization import InputSpec

        self._args, self._records, self._counts, self._scratch = args, records, counts, scratch
        self._spec = InputSpec(tuple(int(number) for number in args.image_shape.split(",")))
        self._checkpoint, self._runs = load_checkpoint(args.model), 0

    def by_name(self):
        """Return {name of the row: function}."""
        return {"lr_mult, Module.fit": lambda: self.bare("lr_mult"), "fixed, Module.fit": lambda: self.bare("fixed"),
                "head plan": self.plan, "frozen trunk": lambda: self.trunk("none"),
                "frozen trunk, cache": lambda: self.trunk("memory"),
                "cache of an earlier run": lambda: self.trunk("disk")}

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
        """Train as the tutorial does, the trunk frozen by a learning rate of 0 or by ``fixed_param_names``."""
        from mxft.compat import mx
        from mxft.graph import Graph
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
        from mxft.inference import InferenceExecutor
        from mxft.training.fit import fit

        network, plan, train, val, run = self._prepare()
        schedule, options = self._options(train.batches)

        def validate(arg_params, aux_params):
            score = score_iterator(InferenceExecutor(network.symbol, arg_params, aux_params, self._spec.shape,
                                                     val.batch_size), val)
            return {"top1": score.top1, "loss": score.loss}

        return fit(network.symbol, network.arg_params, network.aux_params, plan, train, run, schedule, options,
                   validate=validate).history[-1]["val_top1"]

    def trunk(self, mode):
        """Train on the frozen trunk."""
        from mxft.features.frozen_trunk import CacheOptions, fit_frozen_trunk

        network, plan, train, val, run = self._prepare()
        cache = CacheOptions(mode, os.path.join(self._scratch, "cache"), views=self._args.views)
        return fit_frozen_trunk(network, plan, train, run, *self._options(train.batches), validation=val,
                                cache=cache).history[-1]["val_top1"]


def bench(functions, runs):
    """Return {name: [seconds, …]}, the functions taking turns, and {name: result}."""
    seconds, results = {name: [] for name in functions}, {}
    for _ in range(runs):
        for name, function in functions.items():
            began = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                results[name] = function()
            seconds[name].append(time.perf_counter() - began)
            print(f"  {name}: {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
    return seconds, results


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("MXFT_TESTDATA") or os.path.join(ROOT, os.pardir, "shared")
    p.add_argument("--model", metavar="PREFIX,EPOCH", default=os.path.join(shared, "models", "mobilenet-v2-1.0,0"))
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
    with tempfile.TemporaryDirectory() as scratch:
        records, counts = pack_classes(os.path.join(shared, "data", "caltech256-subset.tar"), args.classes,
                                       args.per_class, scratch)
        contenders = Contenders(args, records, counts, scratch)
        with contextlib.redirect_stdout(io.StringIO()):
            contenders.trunk("disk")  # the earlier run; warms up everything else, too
        seconds, top1 = bench(contenders.by_name(), args.runs)
    print(f"training a head on {counts[0]} images for {args.epochs} epochs, validating on {counts[1]} after each, with "
          f"{os.path.basename(args.model)}, {args.runs} runs in turn")
    slowest = next(iter(seconds.values()))
    for name, taken in seconds.items():
        ratios = [before / this for before, this in zip(slowest, taken)]
        rate = counts[0] * args.epochs / statistics.median(taken)
        print(f"  {name:24} {statistics.median(taken):7.1f} s {rate:7.0f} images/s "
              f"{statistics.median(ratios):7.2f} times ({min(ratios):.2f} to {max(ratios):.2f}) top-1 {top1[name]:.3f}")


if __name__ == "__main__":
    main()
