"""Numbers and counts as a person says them, and text without what a terminal would obey."""
import re

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
