"""What an inspection says of a file: facts, numbers, contradictions; and facts that several kinds share."""
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

FEW = (2, 5, 10)  # identities with fewer images than these are counted


@dataclass
class Inspection:
    """What was found in one file, with the files that belong to it.

    Attributes
    ----------
    path, kind : str
        The file, and what it is.
    facts : list of (str, str)
        A name and a sentence each.
    numbers : dict
        The counts behind the facts, for programs.
    problems : list of str
        What is inconsistent, a sentence each.
    """

    path: str
    kind: str
    facts: list = field(default_factory=list)
    numbers: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)

    def __str__(self):
        width = max((len(name) for name, _ in self.facts), default=0)
        lines = [f"{self.path}: {self.kind}"] + [f"  {name:<{width}}  {text}" for name, text in self.facts]
        lines += [f"  WRONG: {problem}" for problem in self.problems] or ["  consistent"]
        return "\n".join(lines)

    def to_dict(self):
        """Return it as values that JSON can hold."""
        return {"path": self.path, "kind": self.kind, "facts": dict(self.facts), "numbers": self.numbers,
                "problems": self.problems}


def describe_images(found, heights, widths, formats):
    """Add to an Inspection what sizes and formats its images have.

    Parameters
    ----------
    found : Inspection
    heights, widths : int64 arrays, shape (N,)
        0 where they are not known.
    formats : Counter
    """
    sizes = Counter(zip(heights.tolist(), widths.tolist()))
    unknown = sizes.pop((0, 0), 0)
    if sizes:
        edges = [sizes.most_common(3), len(sizes) - 3]
        text = ", ".join(f"{h} x {w}" + (f" ({count})" if len(sizes) > 1 else "") for (h, w), count in edges[0])
        text += f" and {edges[1]} more" if edges[1] > 0 else ""
        found.facts.append(("size", f"{text} pixels high and wide" + (f"; {unknown} not known" if unknown else "")))
        found.numbers["sizes"] = [[h, w, count] for (h, w), count in sorted(sizes.items())]
    if formats:
        found.facts.append(("format", ", ".join(f"{name} ({count})" for name, count in formats.most_common())))
        found.numbers["formats"] = dict(formats)


def describe_identities(found, labels):
    """Add to an Inspection how many images identities have; `labels` is an int64 array, shape (N,)."""
    values, counts = np.unique(labels, return_counts=True)
    text = (f"{counts.min()} at least, {np.median(counts):g} in the median, {counts.max()} at most"
            if len(values) > 1 else f"{counts[0]}")
    few = {limit: int((counts < limit).sum()) for limit in FEW}
    low = ", ".join(f"{count} with fewer than {limit}" for limit, count in few.items() if count)
    found.facts.append(("images an identity", text + (f"; {low}" if low else "")))
    found.numbers.update(identities=len(values), fewest_images=int(counts.min()), most_images=int(counts.max()),
                         median_images=float(np.median(counts)), identities_with_fewer_than=few)
