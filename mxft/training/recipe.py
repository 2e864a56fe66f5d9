"""Recipe: every setting of a training, one frozen value; the defaults are the tutorial's."""
import dataclasses

from mxft.data.target_spec import CLASSES
from mxft.features.store import CacheOptions
from mxft.freeze import FreezeOptions
from mxft.training.fit import FitOptions
from mxft.training.stages import HeadStage


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the tutorial's.

    Parameters
    ----------
    plan : str
        See `mxft.freeze`.
    target : {"classes", "multi-label", "regression"}
        What is learnt: one of several classes, each of several labels for itself, or numbers; see
        `mxft.data.target_spec`.
    batch_norm : {"train", "eval"} or None
    freezing : mxft.freeze.FreezeOptions
        Patterns, a layer to freeze through, multipliers.
    head_stage : mxft.training.stages.HeadStage
        Of ``two-stage`` and ``gradual``.
    second_plan : {"full", "discriminative"}
        Of ``two-stage``.
    unfreeze_epochs : int
        Of ``gradual``: how long before the next stage of the trunk is opened; the last has what is left.
    class_weight : str or tuple of float or None
        ``"balanced"``, or what an image of each class counts.
    oversample : bool
        Train on records in which every class is repeated up to the largest.
    solver : str or None
        Make the head without SGD: see `mxft.features.solvers`.
    frozen_trunk : bool
        Run a frozen trunk on the inference executor; False runs it in the training graph, as MXNet does.
    cache : mxft.features.store.CacheOptions
        Where a frozen trunk's features are kept.
    hidden : tuple of mxft.surgery.Dense
        Layers between the feature and the classifier.
    layer : str or None
        Feature layer.
    head_name : str or None
        Of the new classification layer; ``fc1`` where that is free when None.
    require_head : bool
        Keep the checkpoint's classifier, and refuse one of another size.
    batch_size : int
        Over all devices of this process; an update is made of as many such batches as the workers and
        `FitOptions.accumulate` say.
    learning_rate : float
    schedule : {"constant", "step", "cosine"}
    lr_steps : sequence of float
        Epochs, for ``step``.
    lr_factor : float
    warmup_epochs : float
    augment : {0, 1, 2, 3} or mxft.data.augmentation.Augmentation
    seed : int
    fit : FitOptions
    """

    plan: str = "full"
    target: str = CLASSES
    batch_norm: str = None
    freezing: FreezeOptions = FreezeOptions()
    head_stage: HeadStage = HeadStage()
    second_plan: str = "full"
    unfreeze_epochs: int = 1
    class_weight: object = None
    oversample: bool = False
    solver: str = None
    frozen_trunk: bool = True
    cache: CacheOptions = CacheOptions()
    hidden: tuple = ()
    layer: str = None
    head_name: str = None
    require_head: bool = False
    batch_size: int = 128
    learning_rate: float = 0.01
    schedule: str = "constant"
    lr_steps: tuple = ()
    lr_factor: float = 0.1
    warmup_epochs: float = 0.0
    augment: int = 1
    seed: int = 0
    fit: FitOptions = dataclasses.field(default_factory=FitOptions)
