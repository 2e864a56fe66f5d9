"""The settings of a training by name, for editors and type checkers: those of Recipe and of FitOptions."""
from collections.abc import Sequence
from typing import Any, Optional, TypedDict, Union

from mxft.options import CacheOptions, FreezeOptions, HeadStage


class QuantizeSettings(TypedDict, total=False):
    """See `mxft.workflows.quantize_options.QuantizeOptions` for what each of them does."""

    method: str
    calibration_images: int
    check_images: int
    max_drop: float
    min_cosine: float
    seed: int
    force: bool


class Settings(TypedDict, total=False):
    """See `mxft.training.recipe.Recipe` and `mxft.options.FitOptions` for what each of them does."""

    target: str
    batch_norm: Optional[str]
    freezing: FreezeOptions
    head_stage: HeadStage
    second_plan: Optional[str]
    unfreeze_epochs: Optional[int]
    class_weight: Union[str, Sequence[float], None]
    oversample: bool
    solver: Optional[str]
    frozen_backbone: bool
    cache: CacheOptions
    hidden: Sequence[Any]
    layer: Optional[str]
    head_name: Optional[str]
    require_head: bool
    batch_size: int
    learning_rate: float
    schedule: str
    lr_steps: Sequence[float]
    lr_factor: Optional[float]
    warmup_epochs: float
    augment: Any
    mirror: bool
    seed: int
    epochs: int
    optimizer: str
    momentum: Optional[float]
    wd: float
    optimizer_params: dict[str, Any]
    initializer: Any
    kvstore: str
    patience: int
    min_delta: Optional[float]
    label_smoothing: float
    mixup: float
    class_weights: Optional[Sequence[float]]
    accumulate: int
    fp16: bool
    precision: Optional[str]
    rewrite: bool
    engine: str
    device: Optional[str]
