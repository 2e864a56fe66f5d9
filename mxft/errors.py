"""What mxft says when it refuses an input (exit 2) or has to stop a run (exit 3)."""
import difflib
import re

from mxft.wording import cleaned

_LESS_MEMORY = "a smaller `batch_size` or `image_shape` needs less"


class MxftError(Exception):
    """Base of every error mxft raises on purpose.

    The message is one paragraph: what failed, what was expected, what was received as ``name=value``,
    and the nearest names or the next command. ``exit_code`` is what the command line ends with.

    A message may name settings by their fields, in backticks: ```lr_factor```, or ```schedule='step'``` with a value.
    `str` leaves the backticks out; a command gives each as its flag instead, see `mxft.command.as_flags`.

    Examples
    --------
    >>> str(InputError("`lr_factor`: expected `schedule='step'` beside it"))
    "lr_factor: expected schedule='step' beside it"
    """

    exit_code = 2

    def __str__(self):
        return cleaned(plain_message(self.message))

    @property
    def message(self):
        """The message with its backticks."""
        return str(self.args[0]) if self.args else ""


class InputError(MxftError, ValueError):
    """An input was refused before any work began (exit 2)."""


class MissingFileError(InputError, FileNotFoundError):
    """A file that was named is not there (exit 2)."""


class DependencyError(MxftError, ImportError):
    """A package or native library mxft needs cannot be loaded (exit 2)."""


class RunError(MxftError, RuntimeError):
    """Work that had begun could not continue (exit 3); what was finished is on disk."""

    exit_code = 3


SETTING = re.compile(r"`([a-z][a-z0-9_.]*)(?:=([^`]*))?`")


def plain_message(message):
    """Return a message whose settings stand without backticks."""
    return SETTING.sub(lambda found: found.group(0)[1:-1], message)


def last_line(error):
    """Return the last line that says something of an exception whose text is a traceback, as MXNetError's is."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def describe_failure(error):
    """Return in one line what memory, the operating system or MXNet refused; None for anything else.

    Anything else is a defect of mxft's own, or a closed pipe: who reads no further has what he wants.

    Examples
    --------
    >>> describe_failure(OSError(28, "No space left on device", "runs/log.jsonl"))
    "no space left on device: 'runs/log.jsonl'"
    >>> describe_failure(KeyError("epoch"))
    """
    if isinstance(error, MxftError):
        return error.message
    if isinstance(error, MemoryError):
        return f"out of memory; {_LESS_MEMORY}"
    if isinstance(error, OSError):
        if error.errno is None or isinstance(error, BrokenPipeError):
            return None
        return (error.strerror or str(error)).lower() + (f": {error.filename!r}" if error.filename else "")
    said = str(error)  # MXNet raises a RuntimeError where it cannot bind
    if not (type(error).__name__ == "MXNetError" or isinstance(error, RuntimeError)
            and ("MXNetError" in said or said.startswith("simple_bind error"))):
        return None
    reason = last_line(error)
    memory = f"; {_LESS_MEMORY}" if "llocate" in reason or "bad_alloc" in reason else ""
    return f"MXNet failed: {'out of memory, ' * ('bad_alloc' in reason)}{reason}{memory}"


def nearest(name, candidates, most=3):
    """Return the closest of `candidates` to `name` as text for an error message.

    Parameters
    ----------
    name : str
        What the user typed.
    candidates : iterable of str
        The names that exist.
    most : int
        How many to give.

    Returns
    -------
    str
        ``"nearest: a, b, c"``, or ``"known: …"`` with the last few where nothing is close, or ``"there are none"``.

    Examples
    --------
    >>> nearest("flaten0", ["flatten0", "fc1", "softmax"])
    'nearest: flatten0'
    >>> nearest("HEAD", ["full", "head"])
    'nearest: head'
    """
    names = list(dict.fromkeys(candidates))
    if not names:
        return "there are none"
    close = difflib.get_close_matches(name, names, n=most, cutoff=0.5)
    if not close:
        lowered = {each.lower(): each for each in reversed(names)}
        close = [lowered[each] for each in difflib.get_close_matches(name.lower(), lowered, n=most, cutoff=0.5)]
    return "nearest: " + ", ".join(close) if close else "known: " + ", ".join(names[-most:])
