"""Recipe: every setting of a training, one frozen value; the defaults are the tutorial's."""
import dataclasses
import functools

from mxft.data.augmentation import augmentation_of
from mxft.errors import InputError, nearest
from mxft.options import PLANS, SCHEDULES, SOLVERS, TARGETS, CacheOptions, FitOptions, FreezeOptions, HeadStage
from mxft.settings import Kind, check_settings, one_of, real, renamed, setting, several, switch, text, whole
from mxft.training.contradictions import refuse_contradictions
from mxft.wording import BriefRepr

PARTS = {"freezing": FreezeOptions, "head_stage": HeadStage, "cache": CacheOptions, "fit": FitOptions}
_OLD_NAMES = {"frozen_trunk": "frozen_backbone", "freezing.trunk_lr_mult": "freezing.backbone_lr_mult"}  # of mxft 0.1.0
LEVEL, KEPT_LEVEL = 1, 0  # of augmentation, where none is asked for: the tutorial's, or the centre crop


def _weighs(value):
    return value == "balanced" or several(real(least=0), 1).accepts(value)


@dataclasses.dataclass(frozen=True, repr=False)
class Recipe(BriefRepr):
    """How to train; the defaults are the tutorial's.

    Parameters
    ----------
    plan : str
        See `mxft.freeze`.
    target : {"classes", "multi-label", "regression"}
        What is learnt: one of several classes, several independent labels, or numbers; see
        `mxft.data.target_spec`.
    batch_norm : {"train", "eval"} or None
    freezing : mxft.freeze.FreezeOptions
        Patterns, a layer to freeze through, multipliers.
    head_stage : mxft.training.stages.HeadStage
        Of ``two-stage`` and ``gradual``.
    second_plan : {"full", "discriminative"} or None
        Of ``two-stage``. When None, ``discriminative`` where `freezing` has multipliers, else ``full``.
    unfreeze_epochs : int or None
        Of ``gradual``: how long before the next stage of the backbone is opened, `mxft.training.stages.UNFREEZE_EPOCHS`
        when None; the last has what is left.
    class_weight : str or tuple of float or None
        ``"balanced"``, or what an image of each class counts; also of a `solver`, but not of ``imprint``.
    oversample : bool
        Train on records in which every class is repeated up to the largest.
    solver : str or None
        Make the head without SGD: see `mxft.features.solvers`.
    frozen_backbone : bool
        Run a frozen backbone on the inference executor; False runs it in the training graph, as MXNet does.
    cache : mxft.features.store.CacheOptions
        Where a frozen backbone's features are kept.
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
    frozen_backbone: bool = setting(True, switch())
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

    @classmethod
    def of(cls, settings):
        """Return the Recipe of settings by name, wherever they stand.

        Parameters
        ----------
        settings : dict
            Fields of this class and of `FitOptions`; those of the others as ``"cache.mode"``, ``"freezing.through"``.

        Returns
        -------
        Recipe

        Raises
        ------
        InputError
            A name that is none; a value, or settings that contradict each other.

        Examples
        --------
        >>> Recipe.of({"plan": "head", "epochs": 3, "cache.mode": "memory"})
        Recipe(plan='head', cache=CacheOptions(mode='memory'), fit=FitOptions(epochs=3))
        """
        own, parts = {}, {}
        for name, value in settings.items():
            part, field = _place_of(name)
            (parts.setdefault(part, {}) if part else own)[field] = value
        for part, values in parts.items():
            if part in own:
                raise InputError(f"`{part}`: expected either it or what it holds, received both, `{part}` and "
                                 f"{', '.join(values)}")
            own[part] = PARTS[part](**values)
        return cls(**own)

    def __post_init__(self):
        check_settings(self)
        for name, kind in PARTS.items():
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

    @property
    def is_solved(self):
        """Whether a solver makes the head and nothing is trained by steps."""
        return bool(self.solver) and self.plan == "head"

    def augmentation(self, kept=False):
        """Return the Augmentation of a stage; `kept` says that one view of each image serves all its epochs."""
        level = self.augment if self.augment is not None else KEPT_LEVEL if kept else LEVEL
        augmentation = augmentation_of(level)
        return augmentation if self.mirror else dataclasses.replace(augmentation, rand_mirror=False)


def _place_of(name):
    """Return the part of a Recipe a setting's name belongs to, empty for the Recipe itself, and its field there."""
    known = {field.name: ("", field.name) for field in dataclasses.fields(Recipe)}
    known.update({field.name: ("fit", field.name) for field in dataclasses.fields(FitOptions)})
    known.update({f"{part}.{field.name}": (part, field.name) for part, options in PARTS.items() if part != "fit"
                  for field in dataclasses.fields(options)})
    name = _OLD_NAMES.get(name, name)
    if name not in known:
        raise InputError(f"settings: expected names of a Recipe's, received {name!r}; {nearest(name, known)}")
    return known[name]


_made = Recipe.__init__


@functools.wraps(_made)
def _make(self, *values, **named):
    """Refuse a setting that stands elsewhere, or nowhere, by its name; Python's own TypeError names no cure."""
    own = [field.name for field in dataclasses.fields(Recipe)]
    for name in named:
        if name not in own:
            part, _ = _place_of(name)  # refuses one that is nowhere
            raise InputError(f"Recipe: expected a setting of its own, received {name}={named[name]!r}, which is of "
                             f"{PARTS[part].__name__}: {part}={PARTS[part].__name__}({name}={named[name]!r})")
    _made(self, *values, **named)


Recipe.__init__ = _make
renamed(frozen_trunk=_OLD_NAMES["frozen_trunk"])(Recipe)
