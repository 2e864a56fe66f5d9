"""Recipe: every setting of a training, one frozen value; the defaults are the tutorial's."""
import dataclasses

from mxft.data.augmentation import augmentation_of
from mxft.errors import InputError
from mxft.options import PLANS, SCHEDULES, SOLVERS, TARGETS, CacheOptions, FitOptions, FreezeOptions, HeadStage
from mxft.settings import Kind, check_settings, one_of, real, setting, several, switch, text, whole
from mxft.training.contradictions import refuse_contradictions

LEVEL, KEPT_LEVEL = 1, 0  # of augmentation, where none is asked for: the tutorial's, or the centre crop


def _weighs(value):
    return value == "balanced" or several(real(least=0), 1).accepts(value)


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
    second_plan : {"full", "discriminative"} or None
        Of ``two-stage``. When None, ``discriminative`` where `freezing` has multipliers, else ``full``.
    unfreeze_epochs : int or None
        Of ``gradual``: how long before the next stage of the trunk is opened, `mxft.training.stages.UNFREEZE_EPOCHS`
        when None; the last has what is left.
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
    lr_factor : float or None
        Of ``step``; `mxft.training.schedule.STEP_FACTOR` when None.
    warmup_epochs : float
    augment : {0, 1, 2, 3} or mxft.data.augmentation.Augmentation or None
        When None, each stage has its own: level 1, or the centre crop where one view of each image is kept.
    mirror : bool
        False: no image is mirrored, whatever `augment` says.
    seed : int
    fit : FitOptions

    Raises
    ------
    InputError
        A value out of its range, or settings that contradict each other: see `mxft.training.contradictions`.

    Examples
    --------
    >>> Recipe(lr_factor=0.5)
    Traceback (most recent call last):
    mxft.errors.InputError: lr_factor: expected schedule='step' beside it, received schedule='constant'
    """

    plan: str = setting("full", one_of(*PLANS))
    target: str = setting(TARGETS[0], one_of(*TARGETS))
    batch_norm: str = setting(None, one_of("train", "eval"))
    freezing: FreezeOptions = FreezeOptions()
    head_stage: HeadStage = HeadStage()
    second_plan: str = setting(None, one_of("full", "discriminative"))
    unfreeze_epochs: int = setting(None, whole(1))
    class_weight: object = setting(None, Kind("'balanced' or a number for each class", _weighs))
    oversample: bool = setting(False, switch())
    solver: str = setting(None, one_of(*SOLVERS))
    frozen_trunk: bool = setting(True, switch())
    cache: CacheOptions = CacheOptions()
    hidden: tuple = setting((), several(Kind("a mxft.surgery.Dense", lambda value: hasattr(value, "units"))))
    layer: str = setting(None, text())
    head_name: str = setting(None, text())
    require_head: bool = setting(False, switch())
    batch_size: int = setting(128, whole(1))
    learning_rate: float = setting(0.01, real(least=0))
    schedule: str = setting("constant", one_of(*SCHEDULES))
    lr_steps: tuple = setting((), several(real(above=0)))
    lr_factor: float = setting(None, real(above=0, most=1))
    warmup_epochs: float = setting(0.0, real(least=0))
    augment: object = None
    mirror: bool = setting(True, switch())
    seed: int = setting(0, whole(0, 2**31 - 1))
    fit: FitOptions = dataclasses.field(default_factory=FitOptions)

    def __post_init__(self):
        check_settings(self)
        for name, kind in (("freezing", FreezeOptions), ("head_stage", HeadStage), ("cache", CacheOptions),
                           ("fit", FitOptions)):
            if not isinstance(getattr(self, name), kind):
                raise InputError(f"`{name}`: expected {kind.__name__}, as in {name}={kind.__name__}(…), received "
                                 f"`{name}={getattr(self, name)!r}`")
        if self.augment is not None:
            augmentation_of(self.augment)
        refuse_contradictions(self)

    @property
    def second(self):
        """The plan of the second stage of ``two-stage``."""
        return self.second_plan or ("discriminative" if self.freezing.multipliers else "full")

    def augmentation(self, kept=False):
        """Return the Augmentation of a stage; `kept` says that one view of each image serves all its epochs."""
        level = self.augment if self.augment is not None else KEPT_LEVEL if kept else LEVEL
        augmentation = augmentation_of(level)
        return augmentation if self.mirror else dataclasses.replace(augmentation, rand_mirror=False)
