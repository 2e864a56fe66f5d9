"""Numbers and counts as a person says them, and text without what a terminal would obey."""
import dataclasses
import html
import re

_LEFT = ' style="text-align:left"'
# C0 but tab and line feed, DEL, C1, and what turns the direction of the text around it; a carriage return but where
# progress bars have it, in the beginning or before a line feed
_CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|(?<=[\\s\\S])\r(?!\n)")


def cleaned(text):
    """Return text with control characters as their codes, as JSON writes them.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> cleaned("cat\\x1b[31m")
    'cat\\\\u001b[31m'
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def is_plain(text):
    """Whether a name is one line without control characters; letters of any script are."""
    return cleaned(text) == text and not any(end in text for end in "\n\r\t")


def number(value, digits):
    """Return a number with so many digits, a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def duration(seconds):
    """Return seconds as a person says them.

    Examples
    --------
    >>> duration(8.3), duration(95), duration(5400)
    ('8.3 s', '1 min 35 s', '1 h 30 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def plural(count, noun, many=None):
    """Return ``1 epoch``, ``2 epochs``; `many` is the plural where it is no s.

    Examples
    --------
    >>> plural(1, "epoch"), plural(1200, "image"), plural(2, "class", "classes")
    ('1 epoch', '1,200 images', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def size(count):
    """Return bytes in the unit that fits.

    Examples
    --------
    >>> size(4_253_000), size(812)
    ('4.3 MB', '812 B')
    """
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} B"


def some(names, most=5):
    """Return the first few of `names` as text.

    Examples
    --------
    >>> some(["cat", "dog", "emu"], 2)
    'cat, dog and 1 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def cut_short(text, most=60):
    """Return text with an ellipsis in place of what is beyond `most` characters.

    Examples
    --------
    >>> cut_short("a long line", 6)
    'a long…'
    """
    return text if len(text) <= most else f"{text[:most]}…"


def html_table(rows, columns=(), most=20):
    """Return rows as an HTML table for a notebook, text escaped, the first cell of each as its heading.

    Parameters
    ----------
    rows : sequence of sequences
        Numbers are given four digits; None is left empty; what has a method ``__html__`` is HTML already.
    columns : sequence of str
    most : int
        Rows that are shown; of the others the number is told.

    Returns
    -------
    str

    Examples
    --------
    >>> html_table([("<cat>", 0.5)]).replace(' style="text-align:left"', "")
    '<table><tr><th>&lt;cat&gt;</th><td>0.5000</td></tr></table>'
    """
    def cell(value, place, kind):
        text = value.__html__() if hasattr(value, "__html__") else html.escape(cleaned(
            "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)))
        return f"<{kind}{_LEFT if left[place] else ''}>{text}</{kind}>"

    # a notebook has cells flush right, as numbers are; text is not
    left = [not place or isinstance(value, str) and (not columns or value[:1].isalpha())
            for place, value in enumerate(rows[0] if rows else columns)]
    parts = ["".join(cell(column, place, "th") for place, column in enumerate(columns))] * bool(columns)
    parts += ["".join(cell(value, place, "td" if place else "th") for place, value in enumerate(row))
              for row in rows[:most]]
    if len(rows) > most:
        parts.append(f"<td>and {len(rows) - most:,} more</td>")
    return f"<table>{''.join(f'<tr>{part}</tr>' for part in parts)}</table>"


_BRIEF_TEXT, _BRIEF_ITEMS = 60, 4


def brief(value):
    """Return a value's repr, cut short where it is long: arrays by type and shape, collections by their size.

    Examples
    --------
    >>> brief([1, 2]), brief("x" * 100)[:8], brief(list(range(9)))
    ('[1, 2]', "'xxxxxxx", '<9 items>')
    """
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{getattr(value.dtype, 'name', None) or getattr(value.dtype, '__name__', value.dtype)} {value.shape}>"
    if isinstance(value, (list, tuple, set, frozenset, dict)) and len(value) > _BRIEF_ITEMS:
        return f"<{len(value):,} items>"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {brief(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        items = ", ".join(map(brief, value))
        return f"[{items}]" if isinstance(value, list) else f"({items}{',' * (len(value) == 1)})"
    text = repr(value)
    return text if isinstance(value, BriefRepr) else cut_short(text, _BRIEF_TEXT)


class BriefRepr:
    """A dataclass's repr in a line: the fields that are not at their defaults, long ones cut short.

    Put it among the bases and give ``dataclass`` ``repr=False``.

    Examples
    --------
    >>> @dataclasses.dataclass(repr=False)
    ... class Pair(BriefRepr):
    ...     left: int = 0
    ...     right: tuple = ()
    >>> Pair(right=tuple(range(100)))
    Pair(right=<100 items>)
    """

    def __repr__(self) -> str:
        parts = [f"{field.name}={brief(value)}" for field in dataclasses.fields(self) if field.repr
                 for value in (getattr(self, field.name),) if not _is_default(field, value)]
        return f"{type(self).__name__}({', '.join(parts)})"


def _is_default(field, value):
    """Whether a value is what the field is without it."""
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if default is dataclasses.MISSING or hasattr(value, "shape"):
        return False
    return type(value) is type(default) and value == default
