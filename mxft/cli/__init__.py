"""The ``mxft`` command: one verb a module, found by name and imported only when it is used."""
import importlib
import keyword
import sys

from mxft import __version__
from mxft.command import run_command
from mxft.errors import InputError, nearest

VERBS = {
    "im2rec": "pack a folder of images into .lst, .rec and .idx",
    "split": "divide pictures for training and validation, and pack both",
    "layers": "list a checkpoint's layers with shapes and parameter counts",
    "finetune": "put a new head on a checkpoint and train it",
    "advise": "which plan suits a data set, the command, and why",
    "lr-find": "try learning rates on a few batches and suggest one",
    "extract-features": "write any layer's output for a folder or records",
    "report": "write the page of a run, or a page that compares several",
    "score": "top-1, top-5 and loss of a checkpoint on a record file",
    "import": "weights of PyTorch, timm, Keras or ONNX as a checkpoint",
    "predict": "name the classes of image files",
    "export": "a checkpoint as an ONNX file, compared with it",
    "bundle": "a checkpoint as a tested folder or .tar, ready to be served",
    "serve": "a web page and HTTP service that names pictures",
    "zoo": "known checkpoints and data sets: list, get, where",
    "face-pack": "pack people into train.rec, .idx, .lst and property",
    "pairs-pack": "pack a pairs file's images into a verification set (.bin)",
    "inspect": "explain a .rec, .idx, .bin or property, and its faults",
    "unpack": "turn records or a .bin back into image files",
    "verify": "accuracy, XNorm, TAR@FAR of a face checkpoint on .bin sets",
    "doctor": "what is wrong with this machine, and the fix",
    "slim": "drop the layers after the embedding (model_slim.py)",
    "launch": "run a training command as several workers, on many machines",
}


def usage():
    """Return the text of ``mxft --help``."""
    width = max(map(len, VERBS))
    rows = "\n".join(f"  {verb:<{width}}  {text}" for verb, text in VERBS.items())
    return (f"mxft {__version__}: fine-tune MXNet checkpoints\n\nusage: mxft VERB [options]   (mxft VERB --help)\n\n"
            f"{rows}\n\nexit status: 0 done; 2 input refused, before work began; 3 stopped while\nrunning, what was "
            "finished is on disk; 130 interrupted (Ctrl-C), 143 (SIGTERM)\n"
            "mxft doctor: 1 where something is broken\n")


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
            raise InputError(f"unknown verb: expected one of those mxft --help lists, received {verb!r}; "
                             f"{nearest(verb, VERBS)}")
        return importlib.import_module("mxft.cli." + module_name(verb)).main(argv)

    return run_command(f"mxft {verb}" if verb in VERBS else "mxft", main_of_verb, argv)


def module_name(verb):
    """Return the module of a verb: ``face_pack`` of face-pack, ``import_`` of import, which Python keeps for itself."""
    return verb.replace("-", "_") + "_" * keyword.iskeyword(verb)
