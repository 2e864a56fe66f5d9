"""The ``mxft`` command: one verb a module, found by name and imported only when it is used."""
import importlib
import os
import sys

from mxft import __version__
from mxft.errors import InputError, MxftError, nearest

VERBS = {
    "im2rec": "pack a folder of images into .lst, .rec and .idx",
    "split": "n images a class for training, the rest for validation, packed",
    "layers": "list a checkpoint's layers with shapes and parameter counts",
    "finetune": "put a new head on a checkpoint and train it",
    "score": "top-1 and top-5 of a checkpoint on records or a folder",
    "predict": "name the classes of image files",
    "fetch": "download a known data set or checkpoint",
}


def usage():
    """Return the text of ``mxft --help``."""
    width = max(map(len, VERBS))
    rows = "\n".join(f"  {verb:<{width}}  {text}" for verb, text in VERBS.items())
    return (f"mxft {__version__}: fine-tune MXNet checkpoints\n\nusage: mxft VERB [options]   (mxft VERB --help)\n\n"
            f"{rows}\n\nexit status: 0 done, 2 input refused before work began, 3 stopped while running, 130 Ctrl-C\n")


def main(argv=None):
    """Run one verb and return its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"mxft {__version__}")
        return 0
    return run_verb(argv[0], argv[1:])


def run_verb(verb, argv=None):
    """Run ``mxft.cli.<verb>.main(argv)``; tools/*.py call this too, so a tool and its verb cannot drift apart."""
    def main_of_verb(argv):
        if verb not in VERBS:
            raise InputError(f"unknown verb: received {verb!r}; {nearest(verb, VERBS)}; mxft --help lists them")
        return importlib.import_module("mxft.cli." + verb.replace("-", "_")).main(argv)

    return run_command(f"mxft {verb}", main_of_verb, argv)


def run_command(name, main, argv=None):
    """Run ``main(argv)`` and return its exit status.

    Parameters
    ----------
    name : str
        What messages begin with.
    main : callable
        Takes the arguments, returns an exit status or None.
    argv : list of str, optional
        The process's own when None.

    Notes
    -----
    An MxftError becomes one message on stderr and its exit status (2 refused, 3 stopped), Ctrl-C 130. Any other
    exception is a defect of mxft and keeps its traceback.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return main(argv) or 0
    except MxftError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
