"""What goes to a terminal is text: names from files cannot move its cursor or retitle its window.

Class names, file names, layers and messages of a network that came from elsewhere all end in a print; they are
cleaned there, once, and not at the doors they came in by.
"""
import contextlib
import sys

from mxft.wording import cleaned


class CleanStream:
    """A text stream that writes control characters as their codes; everything else is the stream's own.

    Parameters
    ----------
    stream : file object

    Examples
    --------
    >>> import sys
    >>> print("a\\x1b[2Jb", file=CleanStream(sys.stdout))
    a\\u001b[2Jb
    """

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        """Write text, cleaned; return its length."""
        self._stream.write(cleaned(text))
        return len(text)

    def writelines(self, lines):
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name):
        return getattr(self._stream, name)


@contextlib.contextmanager
def clean_streams():
    """Let what is printed inside the block, on stdout and stderr, be cleaned."""
    put = {}
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, CleanStream):
            put[name] = (stream, CleanStream(stream))
            setattr(sys, name, put[name][1])
    try:
        yield
    finally:
        for name, (stream, clean) in put.items():
            if getattr(sys, name) is clean:  # a worker may have fallen silent meanwhile
                setattr(sys, name, stream)
