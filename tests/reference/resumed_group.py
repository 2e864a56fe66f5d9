"""Trains as one of several workers: once whole, once killed after some batches, and the rest of it after ``--resume``.

    python tools/launch.py -n 2 -s 1 python -m tests.reference.resumed_group FOLDER dist_sync CONTEXTS CASE …

FOLDER holds ``train.rec`` and ``val.rec`` of three classes, ``faces.rec`` of four people, the checkpoints ``old,0`` and
``face,0``. For every case, all where none is named, there are the runs ``CASE/whole`` and ``CASE/killed`` afterwards,
to be compared. The kill is an exception nothing catches, in every worker after the same batch: of their processes none
is ended, so a group carries out all cases. tests/data/test_resume_long.py kills in earnest.
"""
import dataclasses
import os
import sys

from mxft.command import run_command
from mxft.commandline.preflight import join_workers
from mxft.compat import mx
from mxft.data.datasets import Records
from mxft.faces.data.layout import read_face_set
from mxft.faces.train import train_faces
from mxft.faces.training.fit import _Loop
from mxft.faces.training.network import pretrained_backbone
from mxft.faces.training.options import FaceOptions
from mxft.heads import HeadOptions, make_head
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.surgery import Dense
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.resume.snapshots import Snapshots
from mxft.training.resume.state import Keeping
from mxft.workflows.finetune import finetune
from tests.support.killing import killed_after

FIT = FitOptions(epochs=3, momentum=0.9)
RECIPE = Recipe(batch_size=4, learning_rate=0.05, fit=FIT)
RECIPES = {  # with the batches after which it is killed, of three an epoch
    "adam": (5, dataclasses.replace(RECIPE, learning_rate=0.01, fit=FitOptions(epochs=3, optimizer="adam"))),
    "mixed": (2, dataclasses.replace(RECIPE, hidden=(Dense(6, dropout=0.5),),
                                     fit=dataclasses.replace(FIT, mixup=0.4, label_smoothing=0.1))),
    "stages": (10, dataclasses.replace(RECIPE, plan="two-stage", schedule="cosine",
                                       fit=dataclasses.replace(FIT, patience=1))),
    "backbone": (6, dataclasses.replace(RECIPE, plan="head", augment=0)),
}
FACES = {"phases": (8, {"freeze_epochs": 1}), "imprinted": (3, {"fc7_init": "imprint"})}


def photographs(folder, kvstore, contexts, cases):
    """Fine-tune by the recipes among `cases`."""
    data = Records(f"{folder}/train.rec", f"{folder}/val.rec", ["red", "green", "blue"])
    for name in filter(cases.__contains__, RECIPES):
        batches, recipe = RECIPES[name]
        recipe = dataclasses.replace(recipe, fit=dataclasses.replace(recipe.fit, kvstore=kvstore))

        def train(run, resume="", recipe=recipe, name=name):
            finetune(load_checkpoint(f"{folder}/old,0"), data, f"{folder}/{name}/{run}", recipe, InputSpec((3, 8, 8)),
                     cpus=contexts, keeping=Keeping(state_batches=2, state_minutes=0, resume=resume))
        train("whole")
        with killed_after(batches, Snapshots, "batch_end"):
            train("killed")
        train("killed", "must")


def faces(folder, kvstore, contexts, cases):
    """Train a face network in the ways among `cases`."""
    people, checkpoint = read_face_set(f"{folder}/faces.rec"), load_checkpoint(f"{folder}/face,0")
    for name in filter(cases.__contains__, FACES):
        steps, options = FACES[name]

        def train(run, resume="", name=name, options=options):
            backbone = pretrained_backbone(checkpoint, (16, 16))
            head = make_head(4, 4, backbone.emb_size, HeadOptions(margin_s=8.0))
            asked = FaceOptions(lr=0.05, per_batch_size=8 // contexts, frequent=2, verbose=3, end_epoch=3,
                                rand_mirror=True, color=1, kvstore=kvstore, **options)
            train_faces(backbone, head, people, f"{folder}/{name}/{run}/model", asked,
                        [mx.cpu(number) for number in range(contexts)], checkpoint,
                        keeping=Keeping(state_batches=2, state_minutes=0, resume=resume))
        train("whole")
        with killed_after(steps, _Loop, "_snapshot_if_due"):
            train("killed")
        train("killed", "must")


def main(argv):
    """Carry out the cases."""
    folder, kvstore, contexts, *cases = argv
    workers = join_workers(kvstore)
    for train in (photographs, faces):
        train(folder, kvstore, int(contexts), cases or [*RECIPES, *FACES])
    with open(os.path.join(folder, f"done.{workers.rank}"), "w"):
        return 0


if __name__ == "__main__":
    sys.exit(run_command("resumed_group", main))
