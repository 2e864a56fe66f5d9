"""What ``train_softmax.py`` is asked for; names and defaults are upstream's."""
import dataclasses
from typing import Optional

from mxft.errors import InputError
from mxft.options import ENGINES, KVSTORES, TRAINING_PRECISIONS
from mxft.settings import check_settings, one_of, real, setting, several, switch, text, whole

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
        Numbered checkpoints at a verification: never, when it is the best since step 0, always, always as number 1.
        Last and best are kept in any case; best is step 0 where verification finds nothing better.
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
        Load a pretrained network with another embedding, and initialise that layer.
    rand_mirror : bool
    cutoff, color : int
    triplet_bag_size : int
        Images that are embedded at once to find triplets among them.
    images_per_identity : int
        Of an identity, at most, in a pass over all identities from which bags are cut.
    triplet_max_ap : float
        Largest distance of a pair of one identity that makes a triplet; 0 for any.
    seed : int
    rewrite : bool
        Bind the graph `mxft.rewrite` makes for speed; False binds the user's own.
    kvstore : str
        One of `mxft.devices.KVSTORES`.
    accumulate : int
        Batches whose gradients make one step, as if they were one batch; BatchNorm sees each by itself.
    fp16 : bool
        Compute the embedding in float16 on GPUs, head and loss in float32: see `mxft.training.precision`.
    precision : {"fp32", "bf16", "auto"} or None
        Of the embedding's layers, on a CPU: see `mxft.training.bfloat16`; fp32 when None.
    shard_fc7 : bool
        Divide the classes of fc7 over the devices, see `mxft.faces.training.sharded_head`.
    sample_rate : float
        Part of the classes that takes part in a step, above 0 and at most 1.
    engine, device
        As of `mxft.options.FitOptions`.
    """

    lr: float = setting(0.1, real(least=0))
    lr_steps: tuple = setting((), several(whole(1)))
    wd: float = setting(0.0005, real(least=0))
    mom: float = setting(0.9, real(least=0, below=1))
    per_batch_size: int = setting(128, whole(1))
    max_steps: int = setting(0, whole(0))
    end_epoch: int = setting(100000, whole(1))
    verbose: int = setting(2000, whole(1))
    frequent: int = setting(20, whole(1))
    ckpt: int = setting(1, whole(0, 3))
    ce_loss: bool = setting(False, switch())
    freeze: tuple = setting((), several(text()))
    freeze_epochs: int = setting(0, whole(0))
    fc7_init: str = setting("keep", one_of(*FC7_INITS))
    reinit_embedding: bool = setting(False, switch())
    rand_mirror: bool = setting(True, switch())
    cutoff: int = setting(0, whole(0))
    color: int = setting(0, whole(0))
    triplet_bag_size: int = setting(3600, whole(3))
    images_per_identity: int = setting(5, whole(2))
    triplet_max_ap: float = setting(0.0, real(least=0))
    seed: int = setting(0, whole(0))
    rewrite: bool = setting(True, switch())
    kvstore: str = setting("device", one_of(*KVSTORES))
    accumulate: int = setting(1, whole(1))
    fp16: bool = setting(False, switch())
    precision: str = setting(None, one_of(*TRAINING_PRECISIONS))
    shard_fc7: bool = setting(False, switch())
    sample_rate: float = setting(1.0, real(above=0, most=1))
    engine: str = setting("auto", one_of(*ENGINES))
    device: Optional[str] = setting(None, text())

    def __post_init__(self):
        check_settings(self)
        steps = self.lr_steps
        if any(b <= a for a, b in zip((0, *steps), steps)):
            raise InputError(f"`lr_steps`: expected growing numbers of updates, received `lr_steps={steps}`")
        if self.end_epoch <= self.freeze_epochs and self.freeze_epochs:
            raise InputError(f"`freeze_epochs`: expected fewer than the {self.end_epoch} epochs there are, received "
                             f"`freeze_epochs={self.freeze_epochs}`; `freeze` alone freezes to the end")
        if self.fc7_init == "imprint" and self.reinit_embedding:
            raise InputError("`fc7_init`: expected a pretrained embedding to imprint from, received "
                             "`reinit_embedding=True`, which initialises it again")

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
