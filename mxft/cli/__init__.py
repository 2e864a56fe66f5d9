"""The ``mxft`` command: one verb a module, found by name and imported only when it is used."""
import importlib
import keyword
import sys

from mxft import __version__
from mxft.command import run_command
from mxft.errors import InputError, nearest
from mxft.machine.packages import MXNET, is_installed
from mxft.machine.programs import for_this_python

GROUPS = {
    "pictures and records": {
        "split": "divide pictures for training and validation, pack both",
        "im2rec": "pack a folder of images into .lst, .rec and .idx",
        "inspect": "explain a .rec, .idx, .bin or property, and its faults",
        "unpack": "turn records or a .bin back into image files",
    },
    "training": {
        "finetune": "put a new head on a checkpoint and train it",
        "advise": "which plan suits a data set, the command, and why",
        "lr-find": "try learning rates on a few batches and suggest one",
        "report": "write the page of a run, or a page that compares several",
        "launch": "run a training command as several workers, on many machines",
        "recipe": "a workflow by its name, from digits to the tutorial: --list",
    },
    "a checkpoint": {
        "zoo": "known checkpoints and data sets: list, get, where",
        "import": "weights of PyTorch, timm, Keras or ONNX as a checkpoint",
        "layers": "its layers with shapes and parameter counts, and what it is",
        "accept": "record its files as they are, after a change that is meant",
        "score": "its top-1, top-5 and loss on pictures or records",
        "predict": "name the classes of image files",
        "extract-features": "write any layer's output for a folder or records",
    },
    "to hand on": {
        "quantize": "int8 for a CPU, calibrated on images, compared, then kept",
        "export": "as an ONNX file, compared with it",
        "bundle": "as a tested folder or .tar, ready to be served",
        "serve": "a web page and HTTP service that names pictures",
    },
    "faces": {
        "face-align": "find faces in photographs, crop and align them",
        "face-pack": "pack people into train.rec, .idx, .lst and property",
        "face-sets": "same people, images, wrong labels in sets; merge, clean",
        "pairs-pack": "pack a pairs file's images into a verification set (.bin)",
        "train-softmax": "insightface's train_softmax.py, its flags and defaults",
        "drop-noisy": "a set without wrong labels, by Sub-center ArcFace",
        "embed": "embeddings of faces, of photographs too, as .npz",
        "enroll": "people into a gallery of embeddings",
        "identify": "who of a gallery is in the pictures",
        "verify": "accuracy, XNorm, TAR@FAR on .bin sets (verification.py)",
        "ijb": "templates of IJB-B and IJB-C: TAR@FAR 1:1, TPIR@FPIR 1:N",
        "megaface-features": "feature files for MegaFace, and without its noises",
        "slim": "drop the layers after the embedding (model_slim.py)",
    },
    "this machine": {
        "doctor": "what is wrong with it, what is missing, and the fix",
    },
}
VERBS = {verb: text for group in GROUPS.values() for verb, text in group.items()}
SCRIPTS = {"model-slim": "slim", "verification": "verify", "show-layers": "layers"}  # of tools/, by another name


def usage():
    """Return the text of ``mxft --help``."""
    width = max(map(len, VERBS))
    groups = "\n\n".join("\n".join([f"{title}:", *(f"  {verb:<{width}}  {text}" for verb, text in verbs.items())])
                         for title, verbs in GROUPS.items())
    return (f"mxft {__version__}: fine-tune MXNet checkpoints\n\nusage: mxft VERB [options]   (mxft VERB --help)\n\n"
            f"{groups}\n\nexit status: 0 done; 2 input refused, before work began; 3 stopped while\nrunning, what was "
            "finished is on disk; 130 interrupted (Ctrl-C), 143 (SIGTERM)\n"
            "mxft doctor: 1 where something is broken\n" + _without_mxnet())


def _without_mxnet():
    """Return the line about mxnet where it is missing: its metadata keeps pip from installing it on Python 3.13."""
    if is_installed("mxnet"):
        return ""
    return for_this_python(f"\nmxnet is not installed, which all but a few verbs need:\n  {MXNET}\n")


def main(argv=None):
    """Run one verb and return its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv:
        return run_command("mxft", lambda _: print(usage(), end="", file=sys.stderr) or 2, argv)
    if argv[0] in ("-h", "--help", "help"):
        return run_command("mxft", lambda _: print(usage(), end=""), argv)
    if argv[0] in ("-V", "--version"):
        return run_command("mxft", lambda _: print(f"mxft {__version__}"), argv)
    return run_verb(argv[0], argv[1:])


def run_verb(verb, argv=None):
    """Run ``mxft.cli.<verb>.main(argv)``; tools/*.py call this too, so a tool and its verb cannot drift apart."""
    def main_of_verb(argv):
        if verb not in VERBS:
            known = SCRIPTS.get(verb.removesuffix(".py").replace("_", "-"))
            raise InputError(f"unknown verb: expected one of those mxft --help lists, received {verb!r}; "
                             + (f"that is mxft {known}" if known else nearest(verb, VERBS)))
        return importlib.import_module("mxft.cli." + module_name(verb)).main(argv)

    return run_command(f"mxft {verb}" if verb in VERBS else "mxft", main_of_verb, argv)


def module_name(verb):
    """Return the module of a verb: ``face_pack`` of face-pack, ``import_`` of import, which Python keeps for itself."""
    return verb.replace("-", "_") + "_" * keyword.iskeyword(verb)
