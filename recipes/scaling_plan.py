"""Faces on many cards, estimated: what an update takes, and what limits it.

    python recipes/scaling_plan.py
    python recipes/scaling_plan.py --network r50 --identities 360232 \\
        --gpus 8,16 --nic 100 --per-batch-size 128

Prints Markdown tables for a network with 85,742 and ten million identities on
8, 64 and 512 GPUs: fc7 on every GPU, its gradient through the kvstore; fc7
divided over a machine's GPUs (train_softmax.py --shard-fc7), whole or a tenth
of its classes a step (--sample-rate 0.1); fc7 divided over all machines, which
mxft does not do. recipes/scaling.md holds the tables and where each number
comes from: counted from the network, measured, or assumed (the flags below).

Nothing is trained and no card is needed. The seconds are those of a synchronous
update; "at most" lets computing and all transfers overlap wholly, "at least"
not at all.
"""
import dataclasses
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from mxft.command import run_command
from mxft.commandline.arguments import numbers, real, whole  # noqa: E402
from mxft.commandline.recipes import recipe_parser  # noqa: E402

FLOAT = 4
EMBEDDING = 512
MEASURED_WITH = (64, 85742)  # images and identities of the step whose images/s --speed says
IMAGE = (3, 112, 112)
WEIGHT_PASSES, LOGIT_PASSES = 12, 12  # times an update reads or writes each of them, normalisation and update included
HEADS = ("every GPU", "divided over a machine", "divided over a machine, a tenth sampled", "divided over all machines")

FLAGS = {  # of Cluster's fields: how many of its units the flag counts in, and what it says
    "speed": (1, "images/s of one GPU, with fc7 of 85,742 identities, 64 images"),
    "memory": (1e9, "GB of a GPU"), "exchange": (1e9, "GB/s between a machine's GPUs, all together"),
    "nic": (1e9 / 8, "Gbit/s of a machine's network that arrive"), "server": (1e9, "GB/s a server sums"),
    "gemm": (1e12, "Tflop/s of large matrix products"), "bandwidth": (1e9, "GB/s of a GPU's memory")}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Machines of equal cards.

    Parameters
    ----------
    cards : int
        Of a machine.
    speed : float
        Images/s one card trains the network with, fc7 of `MEASURED_WITH` included.
    memory : float
        Bytes of a card.
    exchange : float
        Bytes/s the cards of one machine give and take together through the kvstore.
    nic : float
        Bytes/s of a machine's network, each way.
    server : float
        Bytes/s of gradients a server sums.
    gemm, bandwidth : float
        Floating-point operations/s of large matrix products, bytes/s of a card's memory.
    """

    cards: int = 8
    speed: float = 241.8
    memory: float = 32e9
    exchange: float = 10e9
    nic: float = 0.8 * 25e9 / 8
    server: float = 1e9
    gemm: float = 12e12
    bandwidth: float = 0.75e12


@dataclasses.dataclass(frozen=True)
class Backbone:
    """The embedding network.

    Parameters
    ----------
    parameters : int
        Bytes.
    symbol : mx.sym.Symbol
    """

    parameters: int
    symbol: object


@dataclasses.dataclass(frozen=True)
class Update:
    """One update, in seconds by what takes them.

    Parameters
    ----------
    compute, cards, network, servers : float
        Computing; between the cards of a machine; between machines; summing on servers.
    kvstore : int
        Bytes of gradients a card pushes.
    resident : int
        Bytes on a card, as `mxft.faces.training.memory` estimates them before every run.
    images : int
    """

    compute: float
    cards: float
    network: float
    servers: float
    kvstore: int
    resident: int
    images: int

    @property
    def slowest(self):
        """Name of what takes longest."""
        return max(("compute", "cards", "network", "servers"), key=lambda name: getattr(self, name))

    @property
    def speeds(self):
        """Images/s where nothing overlaps, and where everything does."""
        parts = (self.compute, self.cards, self.network, self.servers)
        return self.images / sum(parts), self.images / max(parts)


def head_seconds(cluster, images, classes):
    """Return what fc7 and the softmax over it take on a card, forward, backward and update."""
    products = 3 * 2 * images * classes * EMBEDDING
    passes = FLOAT * (LOGIT_PASSES * images * classes + WEIGHT_PASSES * classes * EMBEDDING)
    return products / cluster.gemm + passes / cluster.bandwidth


def update(cluster, backbone, gpus, identities, head, per_batch):
    """Return the Update of `gpus` cards with one of the `HEADS`.

    Notes
    -----
    Between the cards of a machine every array is summed on one of them and given back: 2 (cards - 1) times its bytes.
    Between machines, with as many servers as machines, each machine sends and receives every array twice but for its
    own share: as a worker and as a server. A divided fc7 exchanges embeddings and their gradients instead.
    """
    from mxft.faces.training.memory import Division, estimate_memory

    machines, cards = math.ceil(gpus / cluster.cards), min(gpus, cluster.cards)
    shards = {HEADS[0]: 1, HEADS[3]: gpus}.get(head, cards)
    division = Division(shards, 0.1 if head == HEADS[2] else 1.0, joined=False)
    images, classes = per_batch * shards, division.logits(identities) / shards
    seconds = MEASURED_WITH[0] / cluster.speed - head_seconds(cluster, *MEASURED_WITH)
    compute = seconds * per_batch / MEASURED_WITH[0] + head_seconds(cluster, images, classes)
    pushed = backbone.parameters + (FLOAT * identities * EMBEDDING if shards == 1 else 0)
    embeddings = FLOAT * EMBEDDING * images if shards > 1 else 0
    across = 2 * (machines - 1) / machines * (pushed + (embeddings if shards > cards else 0))
    within = 2 * (cards - 1) * (pushed + min(embeddings, FLOAT * EMBEDDING * per_batch * cards))
    resident = estimate_memory(backbone.symbol, identities, EMBEDDING, IMAGE, 1, division).total(per_batch)
    return Update(compute, within / cluster.exchange, across / cluster.nic,
                  pushed / cluster.server if machines > 1 else 0.0, pushed, resident, per_batch * gpus)


def count(network):
    """Return the Backbone of a face network, counted from its graph, and its billions of multiplications an image."""
    from mxft.backbones.faces import face_network
    from mxft.network.graph import Graph

    symbol = face_network(network, EMBEDDING)
    arguments = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, *IMAGE))[0]))
    internals = symbol.get_internals()
    outputs = dict(zip(internals.list_outputs(), internals.infer_shape(data=(1, *IMAGE))[1]))
    graph, products = Graph(symbol), 0
    for node in graph.operators():
        if node.op in ("Convolution", "FullyConnected"):
            weight = arguments[graph.nodes[node.inputs[1][0]].name]
            products += math.prod(outputs[node.name + "_output"]) * math.prod(weight[1:])
    size = FLOAT * sum(math.prod(found) for name, found in arguments.items() if name != "data")
    return Backbone(size, symbol), products / 1e9


def table(cluster, backbone, gpus, identities, per_batch):
    """Return the lines of one table: every head on every number of cards."""
    lines = ["| GPUs | fc7 | pushed a card | on a card | compute | cards | network | servers | slowest | images/s, at "
             "least – at most |", "|---|---|---|---|---|---|---|---|---|---|"]
    for number in gpus:
        for head in HEADS[:3] if number <= cluster.cards else (HEADS[0], HEADS[3]):
            found = update(cluster, backbone, number, identities, head, per_batch)
            fits = "" if found.resident <= cluster.memory else ": **does not fit**"
            low, high = found.speeds
            lines.append(f"| {number} | {head} | {_size(found.kvstore)} | {_size(found.resident)}{fits} | "
                         f"{found.compute:.2f} s | {found.cards:.2f} | {found.network:.2f} | {found.servers:.2f} | "
                         f"{found.slowest} | {low:,.0f} – {high:,.0f} |")
    return lines


def _size(number):
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def parser():
    """Return the argument parser."""
    p = recipe_parser("scaling_plan", __doc__)
    p.add_argument("--network", default="r100", metavar="NAME", help="face network (default: r100)")
    p.add_argument("--identities", type=numbers(None, int), default=(85742, 10_000_000), metavar="N,…",
                   help="(default: 85742,10000000)")
    p.add_argument("--gpus", type=numbers(None, int), default=(8, 64, 512), metavar="N,…", help="(default: 8,64,512)")
    p.add_argument("--per-batch-size", type=whole(1), default=64, metavar="N", help="images of each GPU (default: 64)")
    own = {field.name: field.default for field in dataclasses.fields(Cluster)}
    g = p.add_argument_group("measured elsewhere or assumed", "The defaults are V100 SXM2 cards, eight a machine.")
    for name, (unit, text) in FLAGS.items():
        g.add_argument(f"--{name}", type=real(above=0), default=own[name] / unit, metavar="R",
                       help=f"{text} (default: {own[name] / unit:g})")
    return p


def main(argv=None):
    """Print the tables."""
    args = parser().parse_args(argv)
    cluster = Cluster(**{name: unit * getattr(args, name) for name, (unit, _) in FLAGS.items()})
    backbone, products = count(args.network)
    print(f"{args.network}: {_size(backbone.parameters)} of parameters, {products:.1f} billion multiplications an "
          f"image forward; {args.per_batch_size} images a GPU")
    for identities in args.identities:
        print(f"\n{identities:,} identities, fc7 {_size(FLOAT * identities * EMBEDDING)}:\n")
        print("\n".join(table(cluster, backbone, args.gpus, identities, args.per_batch_size)))
    return 0


if __name__ == "__main__":
    sys.exit(run_command("scaling_plan", main))
