"""What a tiny training is told on standard error anyway: that it is too short."""


def without_doubts(err):
    """Return what was told on standard error but that so short a training cannot go well."""
    return "".join(line for line in err.splitlines(keepends=True) if not line.startswith("warning: too "))
