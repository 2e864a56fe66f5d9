"""The lines of a text list with their numbers, as Windows, PowerShell and people write them."""
from mxft.data.lists import coding_of
from mxft.errors import InputError
from mxft.files.whole import require_file

DIGITS = 18  # of a number that fits into 64 bits


def text_rows(path, what):
    """Yield the lines of a list that hold something.

    Parameters
    ----------
    path : str
        In UTF-8 or, with its byte order mark, UTF-16; line ends of any system.
    what : str
        The list, for messages.

    Yields
    ------
    number : int
        From 1, blank lines counted.
    text : str
        Without blanks at either end.

    Raises
    ------
    InputError
        No such file, or no text.

    Examples
    --------
    >>> with open("list.txt", "w") as f:
    ...     _ = f.write("a 1\\r\\n\\n b 2")
    >>> list(text_rows("list.txt", "list of images"))
    [(1, 'a 1'), (3, 'b 2')]
    """
    with open(require_file(path, what), "rb") as f:
        coding = coding_of(f.read(2))
    with open(path, encoding=coding) as f:
        try:
            for number, line in enumerate(f, 1):
                if line.strip():
                    yield number, line.strip()
        except UnicodeError:
            raise InputError(f"{what} cannot be read: expected UTF-8 text, received {path}, which is none") from None


def is_number(word):
    """Whether a word is a whole number from 0 up, of at most 18 digits.

    Examples
    --------
    >>> is_number("069544"), is_number("-1"), is_number("1.0"), is_number("9" * 19)
    (True, False, False, False)
    """
    return word.isdecimal() and len(word) <= DIGITS
