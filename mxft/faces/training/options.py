"""What ``train_softmax.py`` is asked for; names and defaults are upstream's."""
import dataclasses

from mxft.errors import InputError
from mxft.training.accumulation import check_accumulation

LR_STEPS = {0: (40000, 60000, 80000)}  # plain softmax; the margins get the later ones
MARGIN_LR_STEPS = (100000, 140000, 160000)
STEPS_WERE_FOR = 512  # images an update
FC7_INITS = ("keep", "normal", "imprint")


@dataclasses.dataclass(frozen=True)
class FaceOptions:
    """How to train; see recipes/train_softmax.py for the flags.

    Parameters
    ----------
    lr : float
    lr_steps : tuple of int
        Updates after which the learning rate falls to a tenth; upstream's when empty, see `learning_rate_steps`.
    wd, mom : float
    per_batch_size : int
        Images of each device.
    max_steps, end_epoch : int
        Whichever comes first; 0 steps for no limit. A step is an update.
    verbose : int
        Steps between verifications.
    frequent : int
        Steps between lines of the log.
    ckpt : {0, 1, 2, 3}
        Numbered checkpoints at a verification: never, when it improves, always, always as number 1. Last and best are
        kept in any case.
    ce_loss : bool
        Give the cross-entropy as a further output of the saved symbol, as upstream's flag does.
    freeze : tuple of str
        Names or patterns of parameters that stay as they are.
    freeze_epochs : int
        Freeze for so many epochs only; without `freeze`, everything that was loaded.
    fc7_init : {"keep", "normal", "imprint"}
        The class centres: the checkpoint's where they fit, else random; always random; the mean embedding of each
        class.
    reinit_embedding : bool
        Take a pretrained network with another embedding, and begin that layer anew.
    rand_mirror : bool
    cutoff, color : int
    seed : int
    rewrite : bool
        Bind the graph `mxft.rewrite` makes for speed; False binds the user's own.
    kvstore : str
        One of `mxft.devices.KVSTORES`.
    accumulate : int
        Batches whose gradients make one step, as if they were one batch; BatchNorm sees each by itself.
    fp16 : bool
        Compute the embedding in float16 on GPUs, head and loss in float32: see `mxft.training.precision`.
    shard_fc7 : bool
        Divide the classes of fc7 over the devices, see `mxft.faces.training.sharded_head`.
    sample_rate : float
        Part of the classes that takes part in a step, above 0 and at most 1.
    """

    lr: float = 0.1
    lr_steps: tuple = ()
    wd: float = 0.0005
    mom: float = 0.9
    per_batch_size: int = 128
    max_steps: int = 0
    end_epoch: int = 100000
    verbose: int = 2000
    frequent: int = 20
    ckpt: int = 1
    ce_loss: bool = False
    freeze: tuple = ()
    freeze_epochs: int = 0
    fc7_init: str = "keep"
    reinit_embedding: bool = False
    rand_mirror: bool = True
    cutoff: int = 0
    color: int = 0
    seed: int = 0
    rewrite: bool = True
    kvstore: str = "device"
    accumulate: int = 1
    fp16: bool = False
    shard_fc7: bool = False
    sample_rate: float = 1.0

    def __post_init__(self):
        check_accumulation(self.accumulate)
        steps = self.lr_steps
        if any(b <= a for a, b in zip((0, *steps), steps)):
            raise InputError(f"lr-steps: expected growing numbers of updates, received lr-steps="
                             f"{','.join(map(str, steps))}")
        if self.fc7_init not in FC7_INITS:
            raise InputError(f"fc7-init: expected one of {', '.join(FC7_INITS)}, received fc7-init={self.fc7_init!r}")
        if self.end_epoch <= self.freeze_epochs and self.freeze_epochs:
            raise InputError(f"freeze-epochs: expected fewer than the {self.end_epoch} epochs there are, received "
                             f"freeze-epochs={self.freeze_epochs}; `freeze` alone freezes to the end")
        if not 0 < self.sample_rate <= 1:
            raise InputError(f"sample-rate: expected a part of the classes, above 0 and at most 1, received "
                             f"sample-rate={self.sample_rate}")

    @property
    def divides_fc7(self):
        """Whether fc7 is trained in shards: over several devices, or in samples of one."""
        return self.shard_fc7 or self.sample_rate < 1


def learning_rate_steps(options, loss_type, batch_size):
    """Return the updates after which the learning rate falls to a tenth.

    Parameters
    ----------
    options : FaceOptions
    loss_type : int
    batch_size : int
        Over all devices and workers; ``options.accumulate`` of them make an update.

    Returns
    -------
    list of int
        As given, or upstream's for batches of 512, scaled to the images of an update: fewer images, more updates.

    Examples
    --------
    >>> learning_rate_steps(FaceOptions(), 4, 256)
    [200000, 280000, 320000]
    """
    if options.lr_steps:
        return list(options.lr_steps)
    images = batch_size * options.accumulate
    return [int(step * STEPS_WERE_FOR / images) for step in LR_STEPS.get(loss_type, MARGIN_LR_STEPS)]
