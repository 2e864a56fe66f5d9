"""What of the options a triplet loss cannot do: refused before anything is read."""
from mxft.errors import InputError
from mxft.heads.triplet import PARTS, Triplet


def check_triplets(options, head):
    """Refuse options that a triplet loss has not.

    Parameters
    ----------
    options : FaceOptions
    head : mxft.heads.Head
        Of any loss: others are passed on.

    Raises
    ------
    InputError
        A batch that is no multiple of 3, several workers, class centres to be imprinted, everything frozen, a
        cross-entropy.
    """
    if not isinstance(head, Triplet):
        return
    what = f"loss-type={head.loss_type} ({head.name})"
    if options.per_batch_size % PARTS:
        below = options.per_batch_size // PARTS * PARTS or PARTS
        raise InputError(f"per-batch-size: expected a multiple of {PARTS} with {what}, as anchors, positives and "
                         f"negatives, received per-batch-size={options.per_batch_size}; try `per_batch_size` {below}")
    if options.kvstore.startswith("dist"):
        raise InputError(f"kvstore: expected one process with {what}, whose workers would each find triplets for "
                         f"themselves, received `kvstore={options.kvstore!r}`; `kvstore='device'` on one machine")
    if options.fc7_init == "imprint":
        raise InputError(f"fc7-init: expected no class centres with {what}, which compares images, received "
                         "`fc7_init='imprint'`; `fc7_init='keep'`")
    if options.freeze_epochs and not options.freeze:
        raise InputError(f"freeze-epochs: expected `freeze` PATTERN with {what}, which trains the embedding alone, "
                         f"received freeze-epochs={options.freeze_epochs}, which would freeze all of it")
    if options.ce_loss:
        raise InputError(f"ce-loss: expected a loss with logits, received {what}, which has no cross-entropy; leave "
                         "`ce_loss` out")
