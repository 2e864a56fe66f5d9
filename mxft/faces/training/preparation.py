"""What a face run begins with, network, weights, data, phases and devices: all checked before a file is written."""
import dataclasses

from mxft.compat import mx
from mxft.distributed.workers import join
from mxft.errors import InputError
from mxft.faces.data.bags import Bags
from mxft.faces.data.iterators import FaceIterator
from mxft.faces.data.triplet_iterator import Mining, TripletIterator
from mxft.faces.training.fit import phases
from mxft.faces.training.memory import Division, available_memory, estimate_memory, require_memory
from mxft.faces.training.network import attach_face_head
from mxft.faces.training.sharding import check_sharding
from mxft.faces.training.transfer import transfer_face
from mxft.faces.training.triplets import check_triplets
from mxft.heads.triplet import Triplet
from mxft.network.normalisation import normalised_in_graph
from mxft.rewrite import rewrite_for_training
from mxft.training.precision import check_precision

MOST_NUMBERS = 2 ** 31 - 1  # of an array, where mxnet is not built with USE_INT64_TENSOR_SIZE; its wheels are not


@dataclasses.dataclass(frozen=True)
class FacePreparation:
    """A face run that can begin.

    Parameters
    ----------
    backbone : FaceBackbone
    network : FaceNetwork
    faces : FaceSet
    options : FaceOptions
    contexts : list of mx.Context
    checkpoint : Checkpoint or None
    transfer : FaceTransfer
        What was taken over of the checkpoint.
    stages : list of Phase
    workers : mxft.distributed.workers.Workers
    estimate : MemoryEstimate
    train : FaceIterator
        Batches for all devices together; a TripletIterator where the head compares images.
    """

    backbone: object
    network: object
    faces: object
    options: object
    contexts: list
    checkpoint: object
    transfer: object
    stages: list
    workers: object
    estimate: object
    train: object

    @property
    def image_shape(self):
        """``(3, H, W)``."""
        return (3, *self.backbone.image_size)


def prepare_faces(backbone, head, faces, options, contexts, checkpoint=None, threads=None):
    """Refuse what cannot be trained; return what training starts from.

    Parameters
    ----------
    backbone : FaceBackbone
    head : mxft.heads.Head
    faces : FaceSet
    options : FaceOptions
    contexts : list of mx.Context
    checkpoint : Checkpoint, optional
    threads : int, optional
        Decoding threads.

    Returns
    -------
    FacePreparation

    Raises
    ------
    InputError
        An fc7 that cannot be divided as asked or is larger than an array can be, weights that do not go into the
        network, patterns that freeze nothing, too few images for a batch, too little memory; what triplets have not.
    """
    check_triplets(options, head)
    if options.fc7_init == "imprint" and (checkpoint is None or options.reinit_embedding):
        raise InputError("fc7-init: expected a pretrained embedding to imprint from, received none; give `pretrained` "
                         "and leave `reinit_embedding` out")
    check_precision(options, contexts)
    check_sharding(options, head, contexts)
    _require_one_array(head)
    checkpoint = _with_raw_input(checkpoint, backbone)
    network = attach_face_head(backbone.symbol, head, options.ce_loss)
    transfer = transfer_face(network, checkpoint, (3, *backbone.image_size), options.fc7_init == "keep",
                             options.reinit_embedding)
    stages = phases(options, network, transfer.arg_params)
    workers = join(options.kvstore)
    _require_a_batch(faces, options, contexts, workers)
    estimate = _require_memory(backbone, head, options, contexts)
    train = _iterator(faces, head, options, len(contexts), workers, image_size=backbone.image_size, seed=options.seed,
                      mirror=options.rand_mirror, cutoff=options.cutoff, color=options.color, threads=threads)
    return FacePreparation(backbone, network, faces, options, contexts, checkpoint, transfer, stages, workers, estimate,
                           train)


def _iterator(faces, head, options, devices, workers, **images):
    """Return the batches: of the whole set in a new order every epoch, or of triplets."""
    batch_size = options.per_batch_size * devices
    if not isinstance(head, Triplet):
        return FaceIterator(faces, batch_size, shuffle=True, worker=workers.rank, workers=workers.count, **images)
    bags = Bags(faces.labels, options.images_per_identity, options.triplet_bag_size, options.seed)
    return TripletIterator(faces, batch_size, Mining(bags, head.distances, head.options.triplet_alpha,
                                                     options.triplet_max_ap, devices), **images)


def _with_raw_input(checkpoint, backbone):
    """Return the checkpoint as one that takes raw pixels, as the network to train does, or refuse it."""
    if checkpoint is None or checkpoint.input_spec is None or checkpoint.input_spec.is_raw:
        return checkpoint
    if backbone.name == "pretrained":
        return normalised_in_graph(checkpoint)
    raise InputError(f"input does not fit: expected a checkpoint that takes raw 0-255 pixels, as {backbone.name} does, "
                     f"which normalises by itself, received {checkpoint.name} whose manifest says "
                     f"{checkpoint.input_spec.describe()}; `network` pretrained takes the checkpoint's own graph and "
                     "writes the normalisation into it")


def _require_one_array(head):
    """Refuse more class centres than one array of a checkpoint can have, divided in training or not."""
    numbers = head.centres * head.emb_size
    if numbers > MOST_NUMBERS and not mx.runtime.Features().is_enabled("INT64_TENSOR_SIZE"):
        raise InputError(f"fc7: expected at most {MOST_NUMBERS:,} numbers, which is as far as mxnet {mx.__version__} "
                         f"counts in an array, received {head.centres:,} centres x {head.emb_size} = {numbers:,}; "
                         f"`emb_size` {MOST_NUMBERS // head.centres}, or fewer identities (`images_filter`)")


def _require_a_batch(faces, options, contexts, workers):
    devices = len(contexts) * workers.count
    most = len(faces.labels) // devices
    if options.per_batch_size > most:
        advice = f"try `per_batch_size` {most}" if most else "use fewer devices"
        raise InputError(f"per-batch-size: expected at most {most}, as {len(faces.labels)} images fill no larger batch "
                         f"on {devices} device{'s' * (devices > 1)}, received per-batch-size="
                         f"{options.per_batch_size}; {advice}")


def _require_memory(backbone, head, options, contexts):
    """Estimate the memory the run needs on a device, refusing what cannot fit."""
    on_host = contexts[0].device_type == "cpu"
    sharing = len(contexts) if on_host else 1
    shape = (3, *backbone.image_size)
    embedding, _ = rewrite_for_training(backbone.symbol, contexts[0].device_type, options.rewrite)
    division = Division(len(contexts), options.sample_rate, on_host) if options.divides_fc7 else None
    estimate = estimate_memory(embedding, head.centres, backbone.emb_size, shape, sharing, division)
    for context in contexts[:1] if sharing > 1 else contexts:
        require_memory(estimate, options.per_batch_size, available_memory(context),
                       options.accumulate if options.sample_rate == 1 else None)
    return estimate
