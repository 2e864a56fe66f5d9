"""What is told of pictures before they are split."""


def say_pictures(pictures, more="", file=None):
    """Print in one line what pictures were found and how they are read, and `more`; to `file`, else standard output."""
    from mxft.command.flags import as_flags

    print(as_flags(pictures.describe()) + more, file=file)
