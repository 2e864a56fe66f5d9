"""``mxft.finetune``: a checkpoint and pictures in, a run folder with its page out."""
from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

from mxft.api.models import Model, input_of, open_model
from mxft.api.pictures import labelled_pictures
from mxft.api.telling import telling
from mxft.data.datasets import Records, facts_path, load_records, prepare_pictures, record_files
from mxft.data.pictures import Pictures
from mxft.distributed.workers import join
from mxft.errors import InputError
from mxft.evaluation.packing import default_resize
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec
from mxft.options import QUALITY, Keeping
from mxft.report.page import write_run_page
from mxft.training.contradictions import kept_on_the_way
from mxft.training.photographs import ReadPhotographs, began_with_records, read_instead
from mxft.training.preparation import CheckedRecipe, check_before_packing
from mxft.training.recipe import Recipe
from mxft.training.run import check_run_folder, free_folder
from mxft.workflows import finetune as workflow
from mxft.workflows.auto_plan import AUTO, OF_STEPS, Reading, choose
from mxft.workflows.finetune import FinetuneResult
from mxft.workflows.told import say_page, say_split

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from mxft.api.settings import Settings

LOG = logging.getLogger("mxft")
Data = Union[str, "os.PathLike[str]", Pictures, Records]


@dataclasses.dataclass(frozen=True)
class _Packing:
    """How pictures become records."""

    labels: str | None
    label_columns: Sequence[str] | None
    exclude: Sequence[str]
    val_fraction: float | None
    per_class: int | None
    resize: int | None
    quality: int
    threads: int
    keep_records: bool = False

    def checked(self, records: Records) -> Records:
        """Return records; refuse (InputError) what was given and is for pictures alone."""
        told = {"labels": self.labels, "label_columns": self.label_columns, "exclude": self.exclude,
                "val_fraction": self.val_fraction, "per_class": self.per_class, "resize": self.resize,
                "quality": None if self.quality == QUALITY else self.quality,
                "keep_records": self.keep_records or None}
        for name, value in told.items():
            if value not in (None, []):
                raise InputError(f"`{name}`: expected pictures beside it, received records, which are packed; leave it "
                                 "out, or give the pictures")
        return records


def finetune(model: Model, data: Data, run: str | os.PathLike[str] | None = None, *, plan: str | None = None,
             recipe: Recipe | None = None, labels: str | None = None,
             label_columns: Sequence[str] | None = None, exclude: Iterable[str] = (),
             val_fraction: float | None = None, per_class: int | None = None, resize: int | None = None,
             quality: int = QUALITY, keep_records: bool = False, image_shape: Sequence[int] | None = None,
             rgb_mean: Sequence[float] | None = None, rgb_std: Sequence[float] | None = None, gpus: str = "",
             cpus: int = 1, threads: int | None = None, resume: str = "", keeping: Keeping | None = None,
             tensorboard: str | None = None, **settings: Unpack[Settings]) -> FinetuneResult:
    """Put a new head on a checkpoint and train it on pictures, as ``mxft finetune`` does; the run folder is the same.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        ``"prefix,epoch"``, the folder of a run, an archive of a checkpoint, or a name of the zoo that was fetched.
    data : str, os.PathLike, Pictures or Records
        Class folders, ``train/`` and ``val/``, a folder with a table of labels, a CSV, TSV or ``.lst``, a tar or zip of
        these, a ``.rec`` file, or the prefix of what ``mxft split`` made.
    run : str or os.PathLike, optional
        Folder for the run, new or empty; ``runs/NAME`` when None, after the data, with a number where that is taken.
        What is packed goes beside it.
    plan : str, optional
        One of `mxft.options.PLANS`, or ``"auto"``: what suits the pictures, chosen as ``mxft advise`` does. When None,
        ``"auto"``, but ``"full"`` beside settings that only some plans use.
    recipe : Recipe, optional
        All settings as one value, in place of `plan` and `settings`.
    labels, label_columns
        A table of labels that lies elsewhere, and its columns: see `mxft.data.pictures.open_pictures`.
    exclude : iterable of str
        Class folders to leave out.
    val_fraction, per_class, optional
        How pictures are divided: see `mxft.data.datasets.prepare_pictures`.
    resize : int, optional
        Short side of packed images in pixels; the input's size x 8/7 when None.
    quality : int
        Of packed JPEGs, 1 to 100.
    keep_records : bool
        Pack pictures also for a plan that reads each of them once, such as ``"head"`` with a solver, which takes them
        as they are.
    image_shape : (C, H, W), optional
    rgb_mean, rgb_std : three numbers, optional
        What the network takes, where its manifest does not say it.
    gpus : str
        ``"0,1"``; empty for the CPU.
    cpus : int
        CPU contexts.
    threads : int, optional
        For packing and decoding.
    resume : {"", "auto", "must"}
        Resume the run in the folder.
    keeping : Keeping, optional
        What the run keeps; `resume` is not used beside it.
    tensorboard : str, optional
        Folder for TensorBoard's event files.
    **settings
        Fields of `mxft.Recipe` and `mxft.FitOptions` by name: ``epochs=3, learning_rate=0.01, solver="logistic"``.

    Returns
    -------
    FinetuneResult
        With the score of the best checkpoint on the validation pictures; a notebook shows its curves.

    Raises
    ------
    InputError
        Anything that is wrong with the input, before training begins and before the run folder is made.
    RunError
        Training could not continue; the run folder holds what was finished.

    Examples
    --------
    >>> result = finetune("resnet-50", "photos")                                          # doctest: +SKIP
    >>> finetune("resnet-50", "photos", "runs/head", plan="head", epochs=3).score.top1    # doctest: +SKIP
    0.921
    """
    keeping = keeping or Keeping(resume=resume)
    run = free_run(data, keeping.resume) if run is None else os.fspath(run)
    with telling():
        chosen, auto = _settings(plan, recipe, dict(settings))
        checkpoint = open_model(model, image_shape)
        spec = input_of(checkpoint, image_shape, rgb_mean, rgb_std, InputSpec())
        packing = _Packing(labels, label_columns, list(exclude), val_fraction, per_class, resize, quality,
                           threads or os.cpu_count() or 1, keep_records)
        found = _open(data, checkpoint, chosen, packing)
        if resize is not None and resize < max(spec.shape[1:]):
            raise InputError(f"`resize`: expected at least {max(spec.shape[1:])}, the network's input, received "
                             f"resize={resize}; choose a larger one or a smaller `image_shape`")
        pictures = found if isinstance(found, Pictures) else None
        checked = check_before_packing(chosen, checkpoint, spec, pictures and pictures.target, gpus, cpus)
        workers = join(chosen.fit.kvstore)
        if workers.writes:
            check_run_folder(run, keeping.resume)
        if auto:
            reading = Reading(val_fraction, per_class, resize, chosen.seed, threads, gpus)
            by_steps = bool((OF_STEPS | {"kvstore"}) & set(settings)) or cpus > 1 or bool(kept_on_the_way(keeping))
            advice, said = choose(checkpoint, spec, found, chosen.target, reading, by_steps)
            if advice:
                LOG.info(said + _given(advice.settings, settings))
                chosen = Recipe.of({**advice.settings, **settings})
                checked = check_before_packing(chosen, checkpoint, spec, pictures and pictures.target, gpus, cpus)
        records = workers.first_then_others(lambda: _records(found, run, spec, packing, chosen, checked, keeping))
        result: FinetuneResult = workflow.finetune(checkpoint, records, run, chosen, spec, gpus, cpus, threads, keeping,
                                                   tensorboard, checked)
        if result.written:
            say_page(lambda: write_run_page(result.run, result.score, result.data.judged), result.run)
    return result


def free_run(data: Any, resume: str = "") -> str:
    """Return a folder under ``runs`` that is free, called after a path, Pictures, Records or a face set.

    Raises
    ------
    InputError
        A run is to be resumed: a folder that is free holds none.

    Examples
    --------
    >>> free_run("holidays/cats.tar.gz"), free_run(Records("flowers-train.rec")), free_run("faces/train.rec")
    ('runs/cats', 'runs/flowers', 'runs/faces')
    >>> free_run(Records("runs/dogs-records/images-train.rec"))
    'runs/dogs'
    """
    if resume:
        raise InputError(f"`resume`: expected the run's folder or prefix beside it, received resume={resume!r} alone")
    path = next((getattr(data, name) for name in ("source", "train", "rec") if hasattr(data, name)), data)
    folder, name = os.path.split(os.path.abspath(os.path.expanduser(os.fspath(path))))
    name = re.sub("-train$", "", name.split(".")[0])
    if name in ("train", "images"):  # of a face set, and of what `finetune` packs beside a run
        name = re.sub("-records$", "", os.path.basename(folder))
    free: str = free_folder(os.path.join("runs", name))
    return free


def _settings(plan: str | None, recipe: Recipe | None, settings: dict[str, Any]) -> tuple[Recipe, bool]:
    """Return the Recipe, and whether its plan is still to be chosen."""
    if recipe is not None:
        given = [*["plan"] * (plan is not None), *settings]
        if given:
            raise InputError(f"`recipe`: expected it alone, received {', '.join(given)} beside it; "
                             "dataclasses.replace(recipe, …) alters one")
        return recipe, False
    own = sorted(set(settings) - OF_STEPS - {"seed", "mirror", "target", "kvstore", "rewrite"})
    if plan == AUTO and own:
        raise InputError(f"plan='auto': expected no `{own[0]}` beside it, received both: it chooses what is trained; "
                         "name the plan that setting is for")
    auto = plan == AUTO or plan is None and not own
    return Recipe.of({**settings, "plan": "full" if auto or plan is None else plan}), auto


def _given(advised: dict[str, Any], settings: Mapping[str, Any]) -> str:
    """Return a line on the settings that were given and are used in place of the advised ones, or nothing."""
    told = [f"`{name}={value!r}`" for name, value in settings.items() if name in advised and value != advised[name]]
    return f"\n  given, and used instead: {' '.join(told)}" if told else ""


def _open(data: Data, checkpoint: Checkpoint, recipe: Recipe, packing: _Packing) -> Pictures | Records:
    """Return the Pictures or Records that `data` is, or that lie at the path it is."""
    if isinstance(data, ReadPhotographs):  # their features are those of one network
        data = data.packed(packing.threads)
    if isinstance(data, Records):
        return packing.checked(data)
    packed = _packed(data, recipe)
    if packed is not None:
        return packing.checked(packed)
    kept = checkpoint.classes if recipe.require_head else None
    found: Pictures = labelled_pictures(data, recipe.target, packing.labels, packing.label_columns, packing.exclude,
                                        kept)
    found.require_every_class()
    return found


def _packed(data: str | os.PathLike[str] | Pictures, recipe: Recipe) -> Records | None:
    """Return the Records that lie at a path; None of pictures."""
    if isinstance(data, Pictures):
        return None
    path = os.path.expanduser(os.fspath(data))
    files = record_files(path)
    if files:
        return Records(files[0], files[1], target=recipe.target)
    if os.path.isfile(facts_path(path)):
        made: Records = load_records(path)
        return made
    return None


def _records(found: Pictures | Records, run: str, spec: InputSpec, packing: _Packing, recipe: Recipe,
             checked: CheckedRecipe, keeping: Keeping) -> Records:
    """Return the records to train on, packing pictures beside the run where a pass over them does not do."""
    if isinstance(found, Records):
        return found
    records: Records | None
    prefix, resize = os.path.normpath(run) + "-records/images", packing.resize or default_resize(spec)
    resumed = keeping.resume and began_with_records(run)
    if not (resumed or packing.keep_records or packing.quality != QUALITY):
        records = read_instead(recipe, checked, found, prefix, resize, packing.per_class, packing.val_fraction,
                               packing.threads)
        if records is not None:
            return records
    records, split = prepare_pictures(
        found, prefix, packing.per_class, packing.val_fraction, recipe.seed,
        num_thread=packing.threads, resize=resize, quality=packing.quality)
    say_split(split, records)
    return records
