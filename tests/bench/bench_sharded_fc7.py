"""One step of fc7 with very many identities: every device with all classes (a Module) against classes in shards.

    python tests/bench/bench_sharded_fc7.py [--classes 100000] [--emb-size 512] [--batch-size 64] [--contexts 2,4]

ArcFace on random embeddings, no backbone before it: forward, backward with the embeddings' gradient, SGD with momentum
and weight decay, on CPU contexts. Whole and divided run in turn in one process. What a device holds is counted from its
arrays and from what MXNet says it planned, a kvstore's momenta apart: they lie with one device, or with the host. The
most memory a process ever had is measured in a process each, before this one has any: a child's peak counts its
parent's.
"""
import argparse
import json
import math
import statistics
import subprocess
import sys

from turns import rates, show, take_turns

MB = 1e6
CONTENDERS = ("whole", "shards", "shards, a tenth sampled")


def whole(args, contexts, embeddings, labels, weight):
    """Return (function of a step, executors, optimizer's states, {}) of a Module that copies fc7 to every device."""
    from mxft.compat import mx
    from mxft.faces.training.network import attach_face_head
    from mxft.heads import make_head

    network = attach_face_head(mx.sym.identity(mx.sym.Variable("data")), make_head(4, args.classes, args.emb_size))
    module = mx.mod.Module(network.bound, context=contexts)
    module.bind([("data", embeddings.shape)], [("softmax_label", labels.shape)], inputs_need_grad=True)
    module.init_params(arg_params={"fc7_weight": weight}, aux_params={})
    module.init_optimizer("device", "sgd", {"learning_rate": .001, "momentum": .9, "wd": 5e-4,
                                            "rescale_grad": 1 / len(contexts)})
    batch = mx.io.DataBatch([embeddings], [labels])

    def step():
        module.forward_backward(batch)
        module.update()
        mx.nd.waitall()
        return float(module.get_outputs()[-4].mean().asscalar())
    updater = module._kvstore._updater if module._update_on_kvstore else module._updater
    return step, module._exec_group.execs, updater.states, {}


def shards(args, contexts, embeddings, labels, weight, rate=1.0):
    """Return the same of a head whose classes are divided, and the arrays it holds."""
    from mxft.compat import mx
    from mxft.faces.training.sharded_head import ShardedHead
    from mxft.heads import make_head

    head = ShardedHead(make_head(4, args.classes, args.emb_size), args.batch_size, contexts, sample_rate=rate)
    head.set_params({"fc7_weight": weight})
    updater = mx.optimizer.get_updater(mx.optimizer.SGD(
        learning_rate=.001, momentum=.9, wd=5e-4, rescale_grad=1 / len(contexts), param_idx2name=head.indices()))
    rows, steps = args.batch_size // len(contexts), iter(range(10 ** 9))
    parts = [embeddings[i * rows:(i + 1) * rows].as_in_context(context) for i, context in enumerate(contexts)]

    def step():
        head.forward_backward(parts, labels, (next(steps),))
        head.embedding_gradient()
        head.update(updater)
        mx.nd.waitall()
        return float(head.measures[0].mean().asscalar())
    return step, head.execs, updater.states, head.arrays()


def make(name, args, count):
    """Return a contender on `count` CPU contexts."""
    from mxft.compat import mx

    mx.random.seed(0)
    contexts = [mx.cpu(i) for i in range(count)]
    given = (mx.nd.random.normal(shape=(args.batch_size, args.emb_size)),
             mx.nd.random.randint(0, args.classes, (args.batch_size,)).astype("float32"),
             mx.nd.random.normal(0, .01, (args.classes, args.emb_size)))
    if name == "whole":
        return whole(args, contexts, *given)
    return shards(args, contexts, *given, rate=0.1 if "sampled" in name else 1.0)


def held(executors, states, arrays):
    """Return the bytes of the device that has most: arguments, gradients, own momenta, what MXNet planned beside."""
    devices = {}
    for executor in executors:
        context = str(executor._ctx)
        own = [array for array in (*executor.arg_arrays, *executor.grad_arrays) if array is not None]
        planned = int(executor.debug_str().split("Total ")[1].split(" MB")[0]) * 2 ** 20
        devices[context] = sum(math.prod(array.shape) * 4 for array in own) + planned
    for array in (*states.values(), *(array for name, array in arrays.items() if name.startswith("whole:"))):
        if str(array.context) in devices:  # a kvstore of CPU contexts has its momenta in the host's pinned memory
            devices[str(array.context)] += math.prod(array.shape) * 4
    return max(devices.values())


def in_a_process(name, args, count):
    """Return what a process of its own says of a contender: bytes a device holds, and the most it had itself."""
    command = [sys.executable, __file__, "--classes", str(args.classes), "--emb-size", str(args.emb_size),
               "--batch-size", str(args.batch_size), "--contexts", str(count), "--alone", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def alone(name, args):
    """Take three steps and print what memory that took, beside what a process has that only loads mxnet."""
    from mxft.compat import mx
    from mxft.faces.training.memory import peak_memory

    mx.nd.ones((1,)).wait_to_read()
    before = peak_memory()
    step, executors, states, arrays = make(name, args, args.contexts[0])
    for _ in range(3):
        step()
    print(json.dumps({"device": held(executors, states, arrays), "process": peak_memory() - before}))


def main():
    """Print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--classes", type=int, default=100_000)
    p.add_argument("--emb-size", type=int, default=512)
    p.add_argument("--batch-size", type=int, default=64, help="of all devices")
    p.add_argument("--contexts", type=lambda text: [int(word) for word in text.split(",")], default=[2, 4])
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--alone", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.alone:
        alone(args.alone, args)
        return
    memory = {(name, count): in_a_process(name, args, count) for count in args.contexts for name in CONTENDERS}

    def note(name, count, seconds, loss):
        device, process = (memory[name, count][what] / MB for what in ("device", "process"))
        return (f"{statistics.median(seconds) * 1000:.0f} ms a step, a device holds {device:.0f} MB, the process "
                f"{process:.0f} MB more than mxnet alone; loss {loss:.4f}")

    for count in args.contexts:
        seconds, losses = take_turns({name: make(name, args, count)[0] for name in CONTENDERS}, args.runs, 2)
        speeds = rates(args.batch_size, seconds)
        for ours in CONTENDERS[1:]:
            show(f"fc7 of {args.classes:,} classes, {count} contexts, batch {args.batch_size}", "images/s",
                 {name: speeds[name] for name in ("whole", ours)}, ours,
                 {name: note(name, count, seconds[name], losses[name]) for name in ("whole", ours)})


if __name__ == "__main__":
    main()
