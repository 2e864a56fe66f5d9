"""Seconds an exchange of a network's gradients takes, by kvstore: pushed, summed, and their sum pulled by every device.

    python tests/bench/bench_kvstore.py [--network r100] [--classes 85742] [--runs 5]

The arrays are those of a face network, one key each, and of its fc7 where ``--classes`` says so; the numbers in them do
not matter. Workers and servers are processes of this machine that talk over loopback and share its cores. MB/s counts
the parameters' bytes once: what a device or worker gives, it also gets.
"""
import argparse
import math
import os
import subprocess
import sys
import time

from turns import ROOT, show

HERE = os.path.abspath(__file__)
STORES = {"local, 2 contexts": ("local", 2, 0), "device, 2 contexts": ("device", 2, 0),
          "device, 4 contexts": ("device", 4, 0), "dist_sync, 1 worker, 1 server": ("dist_sync", 1, 1),
          "dist_sync, 2 workers, 1 server": ("dist_sync", 2, 1), "dist_sync, 2 workers, 2 servers": ("dist_sync", 2, 2)}


def shapes(network, classes):
    """Return the shapes of a face network's parameters, fc7's last."""
    from mxft.backbones.faces import face_network

    symbol = face_network(network, 512)
    found = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 112, 112))[0]))
    found.pop("data")
    return [*found.values(), *([(classes, 512)] if classes else [])]


def exchange(store, devices, sizes):
    """Return the seconds of one exchange, after one that is not counted."""
    from mxft.compat import mx

    arrays = {str(key): [mx.nd.ones(size, ctx=mx.cpu(number)) for number in range(devices)]
              for key, size in enumerate(sizes)}
    for key, array in arrays.items():
        store.init(key, array[0])
    for _ in range(2):
        mx.nd.waitall()
        began = time.perf_counter()
        for key, array in arrays.items():
            store.push(key, array, priority=-int(key))
            store.pull(key, array, priority=-int(key))
        mx.nd.waitall()
    return time.perf_counter() - began


def alone(store, devices, sizes):
    """Return the seconds of an exchange within this process."""
    from mxft.compat import mx

    return exchange(mx.kv.create(store), devices, sizes)


def work(sizes):
    """Be one worker, server or scheduler of a dist_sync exchange; rank 0 prints its seconds."""
    from mxft.distributed.serving import serve, serves
    from mxft.distributed.workers import join

    if serves():
        return serve()
    workers = join("dist_sync")
    seconds = exchange(workers.module_store(), 1, sizes)
    if workers.writes:
        print(seconds, flush=True)
    workers.leave()
    return 0


def launched(workers, servers, args):
    """Return the seconds rank 0 saw under the launcher."""
    command = [sys.executable, os.path.join(ROOT, "tools", "launch.py"), "-n", str(workers), "-s", str(servers),
               sys.executable, HERE, "--work", "--network", args.network, "--classes", str(args.classes)]
    told = subprocess.run(command, capture_output=True, text=True)
    if told.returncode:
        raise SystemExit(f"expected the launcher to end with 0, received {told.returncode}: {told.stderr[-500:]}")
    return float(next(line for line in told.stdout.splitlines() if line.startswith("worker 0")).split("|")[1])


def main():
    """Print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--network", default="r100")
    p.add_argument("--classes", type=int, default=0, help="of fc7; none by default")
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = p.parse_args()
    sizes = shapes(args.network, args.classes)
    if args.work:
        return work(sizes)
    size, speeds = 4 * sum(map(math.prod, sizes)), {title: [] for title in STORES}
    for _ in range(args.runs):
        for title, (store, count, servers) in STORES.items():
            seconds = launched(count, servers, args) if servers else alone(store, count, sizes)
            speeds[title].append(size / 1e6 / seconds)
    show(f"exchanging {args.network}'s gradients, {size / 1e6:.0f} MB in {len(sizes)} keys", "MB/s", speeds,
         next(iter(speeds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
