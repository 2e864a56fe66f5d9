"""Whether fc7 can be divided over the devices a run has, and what one device then holds of it."""
from mxft.errors import InputError
from mxft.faces.training.memory import FLOAT, Division
from mxft.heads.sharded import divide_classes


def check_sharding(options, head, contexts):
    """Refuse ``--shard-fc7`` and ``--sample-rate`` where they cannot be carried out.

    Parameters
    ----------
    options : FaceOptions
    head : mxft.heads.Head
    contexts : list of mx.Context

    Raises
    ------
    InputError
        One device, fewer classes than devices, several devices that each hold all classes and are to sample them,
        several workers, half precision, gradients of several samples added up, or a head whose loss is no sum over
        rows.
    """
    if not options.divides_fc7:
        return
    asked = "shard-fc7" if options.shard_fc7 else "sample-rate"
    if contexts[0].device_type == "torch":
        raise InputError(f"{asked}: expected MXNet's engine beside it, received {contexts[0]}; leave {asked} out, or "
                         "`engine='mxnet'`")
    if options.shard_fc7 and len(contexts) < 2:
        raise InputError(f"shard-fc7: expected at least 2 devices to divide the classes over, received {contexts[0]} "
                         "alone; list cards in CUDA_VISIBLE_DEVICES, or `cpus` 2")
    if not options.shard_fc7 and len(contexts) > 1:
        raise InputError(f"sample-rate: expected `shard_fc7` or one device, received sample-rate="
                         f"{options.sample_rate:g} on {len(contexts)} devices that would each sample for themselves; "
                         "add `shard_fc7`")
    if options.kvstore.startswith("dist"):
        raise InputError(f"{asked}: expected one process, received `kvstore={options.kvstore!r}`, whose workers would "
                         "each hold all classes and share no gradient of theirs; `kvstore='device'` on one machine, "
                         f"or leave {asked} out")
    if options.fp16:
        raise InputError(f"{asked}: expected training in float32 beside it, received `fp16`, whose loss scale does not "
                         "reach a divided fc7; leave one of the two out")
    if options.accumulate > 1 and options.sample_rate < 1:
        raise InputError(f"sample-rate: expected batches that are updates beside it, received accumulate="
                         f"{options.accumulate}, whose batches would each draw other classes; leave one of the two out")
    if not head.centres:
        raise InputError(f"{asked}: expected a head with class centres, received loss-type={head.loss_type} "
                         f"({head.name}), which has none to divide; leave {asked} out")
    if not head.divisible:
        raise InputError(f"{asked}: expected a head whose loss is made row by row, received loss-type="
                         f"{head.loss_type} ({head.name}), which weighs every class centre against every other; "
                         "`loss_type` 4 is the same without that")
    if head.num_classes < len(contexts):
        raise InputError(f"{asked}: expected at least a class a device, received {head.num_classes} classes on "
                         f"{len(contexts)} devices; use fewer")


def describe_shards(options, num_classes, emb_size, devices):
    """Return what is said of a divided fc7: shards, classes, and what a device is spared; None of one that is whole.

    Parameters
    ----------
    options : FaceOptions
    num_classes, emb_size, devices : int
        Numbers of a class: the embedding's, times the centres a class has.

    Returns
    -------
    str or None

    Examples
    --------
    >>> from mxft.faces.training.options import FaceOptions
    >>> describe_shards(FaceOptions(shard_fc7=True), 85742, 512, 4)
    'fc7: 85,742 classes in 4 shards of 21,436 or 21,435: 220 MB a device and not 878 MB'
    """
    if not options.divides_fc7:
        return None
    bounds = divide_classes(num_classes, devices)
    sizes = sorted({end - first for first, end in zip(bounds, bounds[1:])}, reverse=True)
    shards = f" in {devices} shards of {' or '.join(f'{size:,}' for size in sizes)}" if devices > 1 else ""
    held, whole = (division.arrays(num_classes, 1) * emb_size * FLOAT / 1e6 for division in
                   (Division(devices, options.sample_rate, joined=False), Division(1, joined=False)))
    sample = "; a step trains those of its batch and others drawn at random, " \
             f"{options.sample_rate:.3g} of all" if options.sample_rate < 1 else ""
    return f"fc7: {num_classes:,} classes{shards}: {held:,.0f} MB a device and not {whole:,.0f} MB{sample}"
