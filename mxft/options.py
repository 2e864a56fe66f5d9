"""What a training can be told: the options of a plan, of a fit, of its first stage and of a cache, with their defaults.

Nothing here needs mxnet or NumPy, so that a command can make its flags of these fields before it loads either.
"""
import dataclasses
import os

from mxft.errors import InputError, nearest
from mxft.settings import Kind, check_settings, one_of, real, renamed, setting, several, switch, text, whole
from mxft.wording import BriefRepr

PLANS = {"full": "train every parameter",
         "head": "train the new head on a frozen backbone",
         "discriminative": "train every parameter, the backbone at a lower rate",
         "gradual": "train the head, then unfreeze the backbone stage by stage, from the output down",
         "two-stage": "train the head first, then everything",
         "scratch": "load nothing and train every parameter from random numbers"}
METHODS = ("fixed", "lr_mult")
BACKBONE_LR_MULT = 0.1  # of the plan discriminative
_RATE_BLIND = {"adadelta", "ftrl"}  # optimizers that move a parameter whose learning rate is 0, or divide by it
SCHEDULES = ("constant", "step", "cosine")
STEP_FACTOR = 0.1  # of the step schedule
SOLVERS = ("ridge", "logistic", "svm", "imprint")
VAL_FRACTION = 0.2   # of pictures that nobody has divided
QUALITY = 90         # of JPEGs that are packed
TARGETS = ("classes", "multi-label", "regression")  # one of several classes, each of several labels, numbers
SOLVERS_OF = {"multi-label": "logistic", "regression": "ridge"}  # of targets that are not classes
KVSTORES = ("local", "device", "nccl", "dist_sync", "dist_device_sync", "dist_async")
HEAD_EPOCHS = 2      # of the head alone
UNFREEZE_EPOCHS = 1  # before the next stage of the backbone is opened
MODES = ("none", "memory", "disk")
BUDGET_BYTES = 2 << 30
FOLDER = os.path.join("data-cache", "features")  # of a cache on disk, where none is named
DTYPES = ("float32", "float16")
RESUMES = ("auto", "must")
ENGINES = ("auto", "mxnet", "torch")
PRECISIONS = ("fp32", "bf16", "int8", "auto")
TRAINING_PRECISIONS = ("fp32", "bf16", "auto")  # of layers that train


@renamed(trunk_lr_mult="backbone_lr_mult")  # of mxft 0.1.0
@dataclasses.dataclass(frozen=True, repr=False)
class FreezeOptions(BriefRepr):
    """What a plan may be told beside its name.

    Parameters
    ----------
    patterns : tuple of str
        Parameters to freeze as well: names, or shell patterns such as ``stage1_*``.
    through : str or None
        A layer: it and everything before it is frozen.
    method : {"fixed", "lr_mult"}
    backbone_lr_mult, head_lr_mult : float or None
        Of the plan ``discriminative``; `BACKBONE_LR_MULT` and 1 when None.
    layer_decay : float or None
        Of the plan ``discriminative``: the rate of a layer is this much lower than that of the weighted layer after
        it; 1, which is none, when None (as the layer-wise decay of ELECTRA and BEiT, arXiv:2003.10555).

    Raises
    ------
    InputError
        A value out of its range.
    """

    patterns: tuple = setting((), several(text()))
    through: str = setting(None, text())
    method: str = setting("fixed", one_of(*METHODS))
    backbone_lr_mult: float = setting(None, real(least=0))
    head_lr_mult: float = setting(None, real(least=0))
    layer_decay: float = setting(None, real(above=0, most=1))

    def __post_init__(self):
        check_settings(self, "freezing.")

    @property
    def multipliers(self):
        """Names of the multipliers that are given."""
        return [name for name in ("backbone_lr_mult", "head_lr_mult", "layer_decay") if getattr(self, name) is not None]


@dataclasses.dataclass(frozen=True, repr=False)
class FitOptions(BriefRepr):
    """How to train.

    Parameters
    ----------
    epochs : int
    optimizer : str
        A name ``mx.optimizer`` knows: sgd, adam, nag, rmsprop …
    momentum : float or None
        For optimizers that have one; None leaves the optimizer's default.
    wd : float
        Weight decay.
    optimizer_params : dict
        Further keyword arguments of the optimizer.
    initializer : str, mx.init.Initializer or None
        Of the new head: a name ``mx.init`` knows (normal, msraprelu, zero …) or an object; the tutorial's
        Xavier(gaussian, in, 2) when None.
    kvstore : str
        With a ``dist_`` one every worker is given the same options, and as many batches as the others.
    patience : int
        Epochs without a better validation top-1 (see `mxft.training.fit.FitResult`) before stopping; 0 never.
    min_delta : float or None
        What counts as better, for `patience`; 0 when None.
    label_smoothing : float
        Of the target's probability, spread over all classes.
    mixup : float
        Alpha of the Beta distribution that images are mixed by; 0 for none.
    class_weights : tuple of float or None
        What an image of each class counts in the loss.
    accumulate : int
        Batches whose gradients make one update, as if they were one batch; BatchNorm sees each by itself.
    fp16 : bool
        Compute in float16 on GPUs: see `mxft.training.precision`.
    precision : {"fp32", "bf16", "int8", "auto"} or None
        On a CPU. Of a frozen backbone: what it is computed in, see `mxft.inference.precision.precision_of`; None is
        int8 of a quantized checkpoint, else fp32. Of layers that train: bf16, or auto, see `mxft.training.bfloat16`;
        None is fp32.
    rewrite : bool
        Bind the graph `mxft.rewrite` makes for speed; False binds the user's own.
    engine : {"auto", "mxnet", "torch"}
        Whose forward and backward passes; the optimizer, the data and the files are MXNet's in any case.
    device : str or None
        Of PyTorch: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"``; auto takes PyTorch where one is named.

    Raises
    ------
    InputError
        A value out of its range, or a setting beside another that leaves it without effect.
    """

    epochs: int = setting(8, whole(1))
    optimizer: str = setting("sgd", text())
    momentum: float = setting(None, real(least=0, below=1))
    wd: float = setting(0.0, real(least=0))
    optimizer_params: dict = dataclasses.field(default_factory=dict, metadata={"kind": Kind(
        "a dict of the optimizer's arguments", lambda value: isinstance(value, dict))})
    initializer: object = setting(None, Kind("a name or an mx.init.Initializer",
                                             lambda value: isinstance(value, str) or callable(value)))
    kvstore: str = setting("device", one_of(*KVSTORES))
    patience: int = setting(0, whole(0))
    min_delta: float = setting(None, real(least=0))
    label_smoothing: float = setting(0.0, real(least=0, below=1))
    mixup: float = setting(0.0, real(least=0))
    class_weights: tuple = setting(None, several(real(least=0), 1))
    accumulate: int = setting(1, whole(1))
    fp16: bool = setting(False, switch())
    precision: str = setting(None, one_of(*PRECISIONS))
    rewrite: bool = setting(True, switch())
    engine: str = setting("auto", one_of(*ENGINES))
    device: str = setting(None, text())

    def __post_init__(self):
        check_settings(self)
        if self.min_delta is not None and not self.patience:
            raise InputError("`min_delta`: expected `patience` beside it, received `patience=0`")
        twice = {"learning_rate": True, "lr_scheduler": True, "wd": True, "momentum": self.momentum is not None}
        for name in self.optimizer_params:
            if twice.get(name):
                field = "schedule" if name == "lr_scheduler" else name
                raise InputError(f"`optimizer_params`: expected no {name} in it, received "
                                 f"{name}={self.optimizer_params[name]!r}; the setting for that is `{field}`")

    @property
    def soft_targets(self):
        """Whether training sees other targets than the label alone."""
        return bool(self.label_smoothing or self.mixup or self.class_weights)


@dataclasses.dataclass(frozen=True, repr=False)
class HeadStage(BriefRepr):
    """The first stage of ``two-stage`` and ``gradual``: the head alone.

    Parameters
    ----------
    epochs : int or None
        `HEAD_EPOCHS` when None.
    learning_rate : float or None
        The run's own when None, as the next two.
    optimizer : str or None
    batch_size : int or None
    """

    epochs: int = setting(None, whole(1))
    learning_rate: float = setting(None, real(least=0))
    optimizer: str = setting(None, text())
    batch_size: int = setting(None, whole(1))

    def __post_init__(self):
        check_settings(self, "head_stage.")


@dataclasses.dataclass(frozen=True, repr=False)
class CacheOptions(BriefRepr):
    """Whether, where and in how many views features are kept.

    Parameters
    ----------
    mode : {"none", "memory", "disk"}
        ``none``: the backbone runs for every batch, at inference speed; every epoch has crops of its own.
    folder : str or None
        For ``disk``, `FOLDER` when None; may be shared by any number of runs.
    budget_bytes : int or None
        For training and validation features together; `BUDGET_BYTES` when None.
    views : int or None
        Epochs with crops of their own, 1 when None; epoch e uses view ``e mod views``. No more are made than there are
        epochs, and one where nothing is random.
    dtype : {"float32", "float16"}

    Raises
    ------
    InputError
        A value out of its range, or one of the others where nothing is kept: it would have no effect.
    """

    mode: str = setting("none", one_of(*MODES))
    folder: str = setting(None, text())
    budget_bytes: int = setting(None, whole(1))
    views: int = setting(None, whole(1))
    dtype: str = setting("float32", one_of(*DTYPES))

    def __post_init__(self):
        check_settings(self, "cache.")
        if self.folder is not None and self.mode != "disk":
            raise InputError(f"`cache.folder`: expected `cache.mode='disk'` beside it, received "
                             f"`cache.mode={self.mode!r}`")
        for name, given in (("budget_bytes", self.budget_bytes is not None), ("views", self.views is not None),
                            ("dtype", self.dtype != "float32")):
            if given and self.mode == "none":
                raise InputError(f"`cache.{name}`: expected `cache.mode='memory'` or `cache.mode='disk'` beside it, "
                                 "received `cache.mode='none'`")

    @property
    def budget(self):
        """Bytes for training and validation features together."""
        return BUDGET_BYTES if self.budget_bytes is None else self.budget_bytes

    @property
    def place(self):
        """The folder of mode ``disk``, None of the others."""
        return (self.folder or FOLDER) if self.mode == "disk" else None

    @property
    def view_count(self):
        """Views that are asked for."""
        return self.views or 1


@dataclasses.dataclass(frozen=True, repr=False)
class Keeping(BriefRepr):
    """What a run keeps, and whether it resumes.

    Parameters
    ----------
    every : int
        Keep every n-th epoch's checkpoint, beside the best; 0 for none.
    last : int
        Keep so many of the last epochs' checkpoints.
    state_batches, state_minutes : float
        Write down the state so often, beside the end of every epoch; 0 for not.
    resume : {"", "auto", "must"}
        Resume the run in the folder: where there is one, or refuse where there is none.

    Raises
    ------
    InputError
        A value out of its range.
    """

    every: int = setting(0, whole(0))
    last: int = setting(1, whole(1))
    state_batches: int = setting(0, whole(0))
    state_minutes: float = setting(10, real(least=0))
    resume: str = setting("", one_of("", *RESUMES))

    def __post_init__(self):
        check_settings(self, "keeping.")


def check_plan(name, batch_norm=None, options=FreezeOptions(), optimizer="sgd", field="optimizer"):
    """Refuse (InputError) a plan, BatchNorm mode, method, multiplier or optimizer (of that `field`) that cannot be."""
    if name not in PLANS:
        raise InputError(f"`plan`: expected one of {', '.join(PLANS)}, received `plan={name!r}`; "
                         f"{nearest(str(name), PLANS)}")
    if batch_norm not in (None, "train", "eval"):
        raise InputError(f"BatchNorm mode: expected train or eval, received `batch_norm={batch_norm!r}`")
    by_rate = options.method == "lr_mult" or name == "discriminative"
    if by_rate and optimizer.lower() in _RATE_BLIND:
        raise InputError(f"plan {name} by learning rates: expected an optimizer that uses them, received "
                         f"`{field}={optimizer!r}`; sgd, nag, adam and rmsprop do")
    if name == "scratch" and (options.patterns or options.through):
        given = (f"`freezing.patterns={options.patterns!r}`" if options.patterns else
                 f"`freezing.through={options.through!r}`")
        raise InputError(f"plan scratch: expected nothing to freeze, received {given}; random numbers are not worth "
                         "keeping")
