"""Flags that several verbs share, the values made of them, and a parser whose refusals read like the rest of mxft's."""
import argparse
import dataclasses
import math
import re
import sys

from mxft import settings
from mxft.errors import InputError, nearest
from mxft.options import ENGINES, PRECISIONS, RESUMES, FitOptions, Keeping


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that keeps its help's line ends, takes no abbreviations and refuses with one message.

    argparse prints the whole usage, some twenty lines for ``mxft finetune``, before the one that matters.
    """

    def __init__(self, *args, **options):
        options = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False, **options}
        super().__init__(*args, **options)

    def error(self, message):
        """Raise InputError with what argparse found, worded as mxft words it."""
        raise InputError(f"{self._message(message)}; {self.prog} --help shows them all")

    def _message(self, message):
        unknown = re.match(r"unrecognized arguments: (.*)", message, re.DOTALL)
        if unknown:
            word = next(iter(unknown.group(1).split()), "").split("=")[0]
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            near = f"; {nearest(word, flags)}" if word.startswith("-") else ""
            return f"unknown argument: expected an option of {self.prog}, received {unknown.group(1)!r}{near}"
        missing = re.match(r"the following arguments are required: (.*)", message)
        if missing:
            return f"arguments are missing: expected {missing.group(1)}, received none"
        bad = re.match(r"argument ([^:/]+)[^:]*: (.*)", message, re.DOTALL)
        return f"{bad.group(1)}: {_expectation(*bad.groups())}" if bad else message


def _expectation(flag, text):
    """Return argparse's complaint about one flag as ``expected X, received name=value``."""
    name = flag.lstrip("-")
    choice = re.match(r"invalid choice: (.*) \(choose from (.*)\)", text, re.DOTALL)
    if choice:
        return f"expected one of {choice.group(2)}, received {name}={choice.group(1)}"
    kind = re.match(r"invalid (int|float) value: (.*)", text, re.DOTALL)
    if kind:
        return f"expected a {'whole ' if kind.group(1) == 'int' else ''}number, received {name}={kind.group(2)}"
    if text == "expected one argument":
        return f"expected a value, received none (one that begins with - goes after =, as in {flag}=-1)"
    return re.sub(r"received (?=')", f"received {name}=", text, count=1)


def whole(least, most=None):
    """Return an argparse type for a whole number of at least `least` (and at most `most`)."""
    return typed(settings.whole(least, most))


def real(least=None, above=None, below=None, most=None):
    """Return an argparse type for a finite number within the limits that are given."""
    return typed(settings.real(least, above, below, most))


def typed(kind):
    """Return an argparse type for what a setting may be, a `mxft.settings.Kind`."""
    def parse(text):
        try:
            value = kind.read(text)
        except ValueError:
            value = None
        if not kind.accepts(value):
            raise argparse.ArgumentTypeError(f"expected {kind.expected}, received {text!r}")
        return value
    return parse


def add_setting(group, options, field, text, flag=None, **more):
    """Add the flag of a dataclass's field: its type and its default are the field's, and stand there only.

    Parameters
    ----------
    group : argparse.ArgumentParser or a group of one
    options : dataclass
    field : str
    text : str
        For ``--help``; the default is told behind it, where there is one.
    flag : str, optional
        The field's name with hyphens when None.
    **more
        For ``add_argument``. A `default` is for the help only: what "not given" means where the field says None.
    """
    value = settings.default_of(options, field)
    default = more.pop("default", value)
    kind = settings.kind_of(options, field)
    told = "" if default in (None, "", ()) else f" (default: {default:g})" if isinstance(default, float) else (
        f" (default: {default})")
    convert = {} if kind.read is str else {"type": typed(kind)}
    group.add_argument(flag or "--" + field.replace("_", "-"), help=text + told,
                       **{"metavar": "NAME", "default": value, **convert, **more})


def given_settings(args, *names, **renamed):
    """Return ``{field: value}`` of the flags that say something, to make a dataclass of: a None is left out.

    Parameters
    ----------
    args : argparse.Namespace
    *names : str
        Fields whose flag has their name.
    **renamed : str
        ``field="name in args"`` of the others.
    """
    renamed = {**{name: name for name in names}, **renamed}
    return {field: getattr(args, name) for field, name in renamed.items() if getattr(args, name) is not None}


def numbers(count, kind=float):
    """Return an argparse type for `count` comma-separated finite numbers (any count where None)."""
    def parse(text):
        try:
            values = tuple(kind(word) for word in text.replace(" ", "").split(",") if word)
        except ValueError:
            values = ()
        if not values or (count and len(values) != count) or not all(map(math.isfinite, values)):
            what = f"{count} comma-separated numbers" if count else "comma-separated numbers"
            raise argparse.ArgumentTypeError(f"expected {what}, received {text!r}")
        return values
    return parse


def names_of(text, known, flag, separator=","):
    """Return the names in a list that was typed, each one of those known.

    Parameters
    ----------
    text : str
    known : sequence of str
    flag : str
        For the message.
    separator : str

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        A name that is none of them, or no name at all.

    Examples
    --------
    >>> names_of("head; full", ("head", "full", "scratch"), "--ways", ";")
    ['head', 'full']
    """
    names, listed = [name.strip() for name in text.split(separator) if name.strip()], f"{separator} ".join(known)
    for name in names:
        if name not in known:
            raise InputError(f"{flag}: expected some of {listed}, received {name!r}; {nearest(name, known)}")
    if not names:
        raise InputError(f"{flag}: expected at least one of {listed}, received none")
    return names


def image_shape(text):
    """Read ``C,H,W``; an argparse type."""
    shape = numbers(3, int)(text)
    if shape[0] not in (1, 3) or min(shape) < 1:
        raise argparse.ArgumentTypeError(f"expected C,H,W with C 1 or 3 and sizes in pixels, received {text!r}")
    return shape


def face_size(text):
    """Read ``H,W`` or one number for both; an argparse type."""
    try:
        size = tuple(int(word) for word in text.split(","))
    except ValueError:
        size = ()
    if len(size) not in (1, 2) or min(size) < 1:
        raise argparse.ArgumentTypeError(f"expected H,W or one number, in pixels, received {text!r}")
    return size * 2 if len(size) == 1 else size


def _deviations(text):
    values = numbers(3)(text)
    if min(values) <= 0:
        raise argparse.ArgumentTypeError(f"expected 3 numbers above 0, received {text!r}")
    return values


def add_input_options(parser):
    """Add the flags that state a network's input where its checkpoint has no manifest."""
    group = parser.add_argument_group("input", "what the network expects (default: what its manifest says)")
    group.add_argument("--image-shape", type=image_shape, metavar="C,H,W", help="such as 3,224,224")
    group.add_argument("--rgb-mean", type=numbers(3), metavar="R,G,B", help="subtracted from 0-255 (default: 0,0,0)")
    group.add_argument("--rgb-std", type=_deviations, metavar="R,G,B", help="divided by afterwards (default: 1,1,1)")
    group.add_argument("--mean-image", metavar="FILE",
                       help="mean.bin or mean_224.nd of an old network: subtracted first, inside the graph")


def add_device_options(parser):
    """Add the flags that choose devices."""
    group = parser.add_argument_group("devices")
    group.add_argument("--gpus", default="", metavar="0,1", help="GPU numbers (default: the CPU)")
    group.add_argument("--data-nthreads", type=whole(1), metavar="N", help="decoding threads (default: one a core)")


def refuse_flags(args, names, expected, told=""):
    """Refuse flags that would do nothing.

    Parameters
    ----------
    args : argparse.Namespace
    names : sequence of str
        Of its fields; None, False and what is empty were not given.
    expected : str
        What they would need.
    told : str
        Behind the value that was received: what stands in their way, and what to do.

    Raises
    ------
    InputError
        One was given.

    Examples
    --------
    >>> refuse_flags(argparse.Namespace(far=0.0), ["far"], "`pairs` FILE beside it", "alone")
    Traceback (most recent call last):
    mxft.errors.InputError: far: expected pairs FILE beside it, received far=0.0 alone
    """
    for name in names:
        value = getattr(args, name)
        if not (value is None or value is False or value in ("", [])):
            raise InputError(f"`{name}`: expected {expected}, received {name}={value}" + f" {told}" * bool(told))


def add_check_option(group):
    """Add ``--check`` to a parser or a group of it."""
    group.add_argument("--check", choices=("fast", "full", "off"), default="fast",
                       help="records, before MXNet reads them: fast finds images it cannot decode, full decodes all, "
                            "off looks at labels only (default: fast)")


def add_tensorboard_option(group, place):
    """Add ``--tensorboard`` to a parser or a group of it; `place` is told as the default folder."""
    group.add_argument("--tensorboard", nargs="?", const="", metavar="DIR",
                       help=f"write event files for TensorBoard as training goes (default: {place})")


def add_resume_options(group, where):
    """Add the flags that say how often a run's state is written down, and whether it resumes; `where` is its place."""
    group.add_argument("--resume", nargs="?", const="must", default="", choices=RESUMES, metavar="auto",
                       help=f"resume the run at {where} as if it had never stopped; auto: start one where there is "
                            "none")
    add_setting(group, Keeping, "state_batches", "write down the state every N batches too; 0 for not",
                "--save-batches", metavar="N")
    add_setting(group, Keeping, "state_minutes", "and every M minutes; 0 for not", "--save-minutes", metavar="M")


def add_memory_options(group, batch):
    """Add ``--accumulate`` and ``--fp16`` to a parser or a group of it; `batch` is the flag of a batch's size."""
    add_setting(group, FitOptions, "accumulate", f"add the gradients of N batches of {batch} before an update: a batch "
                "larger than memory", metavar="N")
    group.add_argument("--fp16", action="store_true",
                       help="on GPUs: compute in float16, keep and update the weights in float32, scale the loss")


def add_output_option(parser):
    """Add ``--output-name``, also as ``--output`` where a verb writes no file under that flag."""
    taken = any("--output" in action.option_strings for action in parser._actions)
    parser.add_argument(*["--output"] * (not taken), "--output-name", dest="output_name", metavar="NAME",
                        help="of a network with several outputs: the one to give (default: all)")


def add_precision_option(group, told="default: int8 of a quantized checkpoint, else fp32", choices=PRECISIONS):
    """Add ``--precision`` to a parser or a group of it; `told` is the default in words."""
    group.add_argument("--precision", choices=choices,
                       help=f"numbers to compute in, on a CPU; auto: what it gains from ({told})")


def add_engine_options(parser, compiles=True):
    """Add the flags that choose the engine of inference, beside those of `add_device_options`."""
    group = parser.add_argument_group("engine", "MXNet, or PyTorch (pip install 'mxft[torch]') on other cards")
    group.add_argument("--engine", choices=ENGINES, default="auto",
                       help="auto: MXNet on a CPU and on cards it knows, PyTorch where --device names one (default)")
    group.add_argument("--device", metavar="NAME", help="of PyTorch: cpu, cuda, cuda:1, mps or xpu (default: cpu)")
    if compiles:
        group.add_argument("--compile", action="store_true", help="let PyTorch make kernels of its own first: minutes")


def add_rewrite_option(group):
    """Add ``--no-rewrite`` to a parser or a group of it."""
    group.add_argument("--no-rewrite", dest="rewrite", action="store_false",
                       help="bind the network's graph as it is, without mxft's exact rewrites for speed")


def input_spec(args, manifest_spec, default=None, proposed=(3, 224, 224)):
    """Combine flags, manifest and default into an InputSpec.

    Parameters
    ----------
    args : argparse.Namespace
        With the flags of `add_input_options`.
    manifest_spec : InputSpec or None
    default : InputSpec or None
        What holds where there is neither; None refuses.
    proposed : tuple of int
        ``(C, H, W)`` that the refusal proposes: `mxft.network.checkpoint.Checkpoint.proposed_shape`.

    Raises
    ------
    InputError
        No manifest, no ``--image-shape`` and no default.
    """
    from mxft.network.input_spec import InputSpec

    given = {"shape": args.image_shape, "mean": args.rgb_mean,
             "scale": tuple(1 / s for s in args.rgb_std) if args.rgb_std else None}
    given = {name: value for name, value in given.items() if value is not None}
    base = manifest_spec or default
    if base is None and "shape" not in given:
        raise InputError(f"input is not known: expected a manifest beside the checkpoint, received model="
                         f"{args.model!r} without one; say --image-shape {','.join(map(str, proposed))} (and "
                         "--rgb-mean, --rgb-std where it does not take raw 0-255 pixels)")
    return dataclasses.replace(base or InputSpec(), **given)


def say_assumptions(checkpoint, spec):
    """Tell a user on stderr what is taken for granted of a checkpoint without manifest."""
    if checkpoint.input_spec is None:
        otherwise = "; --rgb-mean and --rgb-std say otherwise" if spec.is_raw else ""
        print(f"no manifest beside {checkpoint.name}: reading images as {spec.describe()}{otherwise}", file=sys.stderr)


def say_calibration(checkpoint, output):
    """Tell a user on stderr that an output's probabilities are calibrated, where they are."""
    if checkpoint.calibration and (output.link.calibration != 1 or checkpoint.calibration.in_graph):
        print(f"probabilities are {checkpoint.calibration.describe()}", file=sys.stderr)
