"""How much memory a face run needs, before anything is allocated: many identities make a large fc7."""
import dataclasses
import math
import os
import sys

from mxft.compat import mx
from mxft.errors import InputError
from mxft.surgery import data_name
from mxft.training.accumulation import divide_batch

FLOAT = 4
LOGIT_ARRAYS = 3         # batch x classes: logits, their gradient, and one the margin takes
HEAD_ARRAYS = 5          # fc7 on each device: weight, gradient, momentum, normalised weight and its gradient
SAMPLED_ARRAYS = 2       # where classes are sampled: the first and the third of all of them, all five of the sample
STORE_ARRAYS = 3         # and once where devices share a memory: the kvstore's (measured: 13 in all for 2, 23 for 4)
BACKBONE_ARRAYS = 3         # of the backbone on each device …
SHARED_ARRAYS = 2        # … and once: momentum, and the kvstore's copy or the host's


@dataclasses.dataclass(frozen=True)
class Division:
    """How fc7 is divided.

    Parameters
    ----------
    shards : int
        A device each.
    sample_rate : float
        Part of its classes a shard computes with in a step.
    joined : bool
        Whether the devices' memory is also the one in which fc7 is joined to be saved.
    """

    shards: int
    sample_rate: float = 1.0
    joined: bool = True

    def classes(self, num_classes):
        """Return how many classes the largest shard has."""
        return math.ceil(num_classes / self.shards)

    def arrays(self, num_classes, devices):
        """Return how many numbers `devices` of the shards hold, of a length of 1 a class."""
        here = self.classes(num_classes) * devices
        shard = HEAD_ARRAYS if self.sample_rate == 1 else SAMPLED_ARRAYS + HEAD_ARRAYS * self.sample_rate
        return here * shard + (num_classes if self.joined else 0)

    def logits(self, num_classes):
        """Return how many logits an image has on its shards together: of every class, or of the sampled ones."""
        return math.ceil(self.classes(num_classes) * self.sample_rate) * self.shards


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """Bytes a run needs.

    Parameters
    ----------
    head : int
        fc7: weight, gradient, momentum and copies, on all devices of a kind that share memory.
    backbone : int
        The same of the embedding network.
    per_image : int
        Activations and logits of one image.
    devices : int
        That share this memory.
    """

    head: int
    backbone: int
    per_image: int
    devices: int = 1

    def total(self, per_batch):
        """Return the bytes needed with `per_batch` images on each device."""
        return self.head + self.backbone + self.per_image * per_batch * self.devices

    def largest_batch(self, available):
        """Return the most images a device can take within `available` bytes; 0 where none fits."""
        return max(0, int((available - self.head - self.backbone) // (self.per_image * self.devices)))

    def describe(self, per_batch):
        """Return one line for a person."""
        return (f"memory: about {_size(self.total(per_batch))}: fc7 {_size(self.head)}, network "
                f"{_size(self.backbone)}, {_size(self.per_image * per_batch * self.devices)} for "
                f"{per_batch * self.devices} images")


def estimate_memory(embedding, num_classes, emb_size, image_shape, devices=1, division=None):
    """Estimate what training needs, from shapes alone.

    Parameters
    ----------
    embedding : mx.sym.Symbol
        The embedding network as it is bound for training.
    num_classes, emb_size : int
    image_shape : tuple of int
        ``(C, H, W)``.
    devices : int
        Devices that share one memory: CPU contexts do, of GPUs each has its own.
    division : Division, optional
        Of fc7; without, each device holds all classes.

    Returns
    -------
    MemoryEstimate

    Notes
    -----
    Activations are the sum of all layers' outputs: training keeps nearly all of them (MXNet planned 90 to 100 % of
    that for y1, m1, r18 and r50).

    Examples
    --------
    >>> net = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=512, name="pre_fc1")
    >>> estimate_memory(net, 85742, 512, (3, 112, 112)).head == 85742 * 512 * 4 * 5
    True
    """
    copies = BACKBONE_ARRAYS * devices + SHARED_ARRAYS
    internals, shape = embedding.get_internals(), {data_name(embedding): (1, *image_shape)}
    args, outputs, _ = internals.infer_shape(**shape)
    variables = {*embedding.list_arguments(), *embedding.list_auxiliary_states()}
    parameters = sum(map(math.prod, args)) - math.prod(shape[data_name(embedding)])
    activations = sum(math.prod(size) for name, size in zip(internals.list_outputs(), outputs)
                      if name not in variables)
    rows, logits = num_classes * (HEAD_ARRAYS * devices + STORE_ARRAYS * (devices > 1)), num_classes
    if division:  # a device has all images' logits of a part of the classes: as many as its own images' of all of them
        rows, logits = math.ceil(division.arrays(num_classes, devices)), division.logits(num_classes)
    return MemoryEstimate(rows * emb_size * FLOAT, parameters * FLOAT * copies,
                          FLOAT * (activations + LOGIT_ARRAYS * logits), devices)


def available_memory(context):
    """Return the free bytes of a device: of a GPU as the driver says, of the CPU what the system and its cgroup leave.

    Returns
    -------
    int or None
        None where the system does not tell.
    """
    if context.device_type == "gpu":
        return mx.context.gpu_memory_info(context.device_id)[0]
    try:
        with open("/proc/meminfo", encoding="ascii") as f:
            lines = dict(line.split(":", 1) for line in f)
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    return min(free, _left_in_cgroup() or free)


def peak_memory():
    """Return the most bytes of the machine's memory this process has held, or None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _left_in_cgroup(folder="/sys/fs/cgroup"):
    try:
        with open(os.path.join(folder, "memory.max"), encoding="ascii") as f:
            limit = f.read().strip()
        with open(os.path.join(folder, "memory.current"), encoding="ascii") as f:
            return None if limit == "max" else int(limit) - int(f.read())
    except (OSError, ValueError):
        return None


def require_memory(estimate, per_batch, available, accumulate=1):
    """Refuse (InputError) a run that cannot fit, with batches that can and make the same update.

    Parameters
    ----------
    estimate : MemoryEstimate
    per_batch : int
        Images of each device.
    available : int or None
    accumulate : int or None
        Batches of an update; None where their gradients cannot be added.
    """
    if available is None or estimate.total(per_batch) <= available:
        return
    largest = estimate.largest_batch(available)
    if not largest:
        advice = "no batch does: fewer identities (`images_filter`), a smaller `emb_size` or more devices are needed"
    elif accumulate is None:
        advice = f"`per_batch_size` {largest} fits"
    else:
        batch, batches = divide_batch(per_batch * accumulate, largest)
        advice = (f"`per_batch_size` {batch} `accumulate` {batches} fits, for an update of {batch * batches} images on "
                  "each device")
    raise InputError(f"memory: expected a run within {_size(available)}, received per-batch-size={per_batch} with "
                     f"{estimate.describe(per_batch)[len('memory: '):]}; {advice}")


def _size(number):
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
