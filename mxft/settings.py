"""Settings: dataclass fields that know what they may be, whoever sets them, a command, a notebook or a recipe.

A field says its default and its `Kind` once. `check_settings` holds a dataclass to them when it is made; `mxft.cli`
makes flags of the same fields. Refusals name fields in backticks, see `mxft.errors`.
"""
import dataclasses
import functools
import math
import numbers
import operator

from mxft.errors import InputError, nearest


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a setting may be.

    Parameters
    ----------
    expected : str
        In words, after "expected".
    accepts : callable
        ``value -> bool``.
    read : callable
        Text to a value, ValueError where it is none.
    choices : tuple of str
        Names to choose among; the nearest are given for another one.
    """

    expected: str
    accepts: callable
    read: callable = str
    choices: tuple = ()


def whole(least, most=None):
    """Return the Kind of a whole number of at least `least` (and at most `most`)."""
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"

    def accepts(value):
        return (isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= least
                and (most is None or value <= most))
    return Kind(f"a whole number {limits}", accepts, int)


def real(least=None, above=None, below=None, most=None):
    """Return the Kind of a finite number within the limits that are given."""
    words = {"of at least": least, "above": above, "below": below, "of at most": most}
    limits = " and ".join(f"{word} {limit:g}" for word, limit in words.items() if limit is not None)

    def accepts(value):
        return (isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
                and (least is None or value >= least) and (above is None or value > above)
                and (below is None or value < below) and (most is None or value <= most))
    return Kind(f"a number {limits}".rstrip(), accepts, float)


def one_of(*choices):
    """Return the Kind of a name among `choices`."""
    return Kind(f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices, str,
                choices)


def switch():
    """Return the Kind of a bool."""
    return Kind("True or False", lambda value: isinstance(value, bool))


def text():
    """Return the Kind of a name that is not empty."""
    return Kind("a name", lambda value: isinstance(value, str) and bool(value))


def several(kind, least=0):
    """Return the Kind of a tuple of at least `least` of `kind`."""
    return Kind(f"a tuple, each {kind.expected}",
                lambda value: isinstance(value, tuple) and len(value) >= least and all(map(kind.accepts, value)),
                kind.read)


def setting(default, kind):
    """Return a dataclass field with this default, held to `kind`; a default of None stands for "not given"."""
    return dataclasses.field(default=default, metadata={"kind": kind})


def renamed(**names):
    """Return a decorator of a dataclass some of whose fields had another name: both are heard and can be read.

    Parameters
    ----------
    **names : str
        ``old_name="field"``.

    Examples
    --------
    >>> @renamed(colour="color")
    ... @dataclasses.dataclass(frozen=True)
    ... class Ink:
    ...     color: str = "black"
    >>> Ink(colour="red"), Ink("blue").colour
    (Ink(color='red'), 'blue')
    """
    def decorate(options):
        made = options.__init__

        @functools.wraps(made)
        def make(self, *values, **named):
            made(self, *values, **{names.get(name, name): value for name, value in named.items()})

        options.__init__ = make
        for old, field in names.items():
            setattr(options, old, property(operator.attrgetter(field)))
        return options
    return decorate


def kind_of(options, name):
    """Return the Kind of the field `name` of a dataclass."""
    return next(field.metadata["kind"] for field in dataclasses.fields(options) if field.name == name)


def default_of(options, name):
    """Return the default of the field `name` of a dataclass."""
    return next(field.default for field in dataclasses.fields(options) if field.name == name)


def check_settings(options, path=""):
    """Hold a frozen dataclass to the kinds of its fields; NumPy's scalars become Python's, sequences tuples.

    Parameters
    ----------
    options : dataclass
        Called from its ``__post_init__``.
    path : str
        What stands before a field's name in a refusal: ``"cache."``.

    Raises
    ------
    InputError
        A value that is none of its kind: the field is named.

    Examples
    --------
    >>> import numpy as np
    >>> @dataclasses.dataclass(frozen=True)
    ... class Options:
    ...     epochs: int = setting(8, whole(1))
    ...     def __post_init__(self):
    ...         check_settings(self)
    >>> Options(np.int64(3)).epochs
    3
    >>> Options(0)
    Traceback (most recent call last):
    mxft.errors.InputError: epochs: expected a whole number of at least 1, received epochs=0
    """
    for field in dataclasses.fields(options):
        value = plain(getattr(options, field.name))
        object.__setattr__(options, field.name, value)
        kind = field.metadata.get("kind")
        if kind is None or (value is None and field.default is None) or kind.accepts(value):
            continue
        near = f"; {nearest(str(value), kind.choices)}" if kind.choices else ""
        raise InputError(f"`{path}{field.name}`: expected {kind.expected}, received "
                         f"`{path}{field.name}={value!r}`{near}")


def height_width(value, name="size"):
    """Return a size in pixels as ``(H, W)``; InputError of anything but two whole numbers of at least 1.

    Examples
    --------
    >>> height_width([112, 96])
    (112, 96)
    >>> height_width(112)
    Traceback (most recent call last):
    mxft.errors.InputError: size: expected height and width in pixels, such as (112, 112), received size=112
    """
    size, one = plain(value), whole(1)
    if not (isinstance(size, tuple) and len(size) == 2 and all(map(one.accepts, size))):
        raise InputError(f"`{name}`: expected height and width in pixels, such as (112, 112), received "
                         f"{name}={value!r}")
    return size


def plain(value):
    """Return a NumPy scalar as Python's own, an array or a list as a tuple of them; anything else as it is.

    Examples
    --------
    >>> import numpy as np
    >>> plain([np.float64(0.5), 2])
    (0.5, 2)
    """
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays, without importing it
        return plain(value.tolist())
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return tuple(map(plain, value))
    return value
