"""The zoo's rows for people: one table by source, one page of facts, and the same as JSON."""
import contextlib
import fnmatch
import itertools
import json
import os

from mxft.zoo.cache import MIRRORS_VARIABLE


def matching(rows, pattern="", folder=None):
    """Return the rows that have `pattern` in a name, or match it where it has * or ?; cached in `folder` if given."""
    def fits(row):
        names = [name.lower() for name in (row.name, *row.aliases)]
        if any(sign in pattern for sign in "*?["):
            return any(fnmatch.fnmatchcase(name, pattern.lower()) for name in names)
        return any(pattern.lower() in name for name in names)

    return [row for row in rows if fits(row) and (folder is None or row.cached(folder))]


def table(rows, folder):
    """Return the rows as text, grouped by source: name, input, published accuracy, size, hash, whether cached."""
    lines = [("name", "input", "published", "bytes", "hash", "")]
    for group, members in itertools.groupby(rows, key=lambda row: row.group):
        lines += ["", f"{group}:"]
        lines += [(_called(row), _input(row), _score(row), f"{_size(row):,}" if _size(row) else "", _short_digest(row),
                   "cached" if row.cached(folder) else "") for row in members]
    cells = [line for line in lines if isinstance(line, tuple)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(line if isinstance(line, str) else
                     "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip() for line in lines)


def as_json(row, folder):
    """Return a row's facts as a dict for JSON."""
    digest = row.digest()
    return {"name": row.name, "aliases": list(row.aliases), "source": row.group, "about": row.about,
            "note": row.note, "published": row.published(), "bytes": _size(row),
            "hash": {"algorithm": digest[0], "hex": digest[1], "of": digest[2]} if digest else None,
            "licence": row.licence, "input": row.manifest().get("input"), "cached": row.cached(folder)}


def facts(row, folder):
    """Return everything that is known of a row, as the text ``mxft zoo where`` prints."""
    digest, cached = row.digest(), row.cached(folder)
    lines = [("name", row.name), *(("", alias) for alias in row.aliases), ("source", row.group), ("what", row.about),
             ("published", _score(row) or row.note), ("licence", row.licence),
             ("hash", f"{digest[0]} {digest[1]} of {digest[2]}" if digest else "none is published; the kind and "
              "structure of the file are checked"), ("cached", cached or f"no; it goes to {row.place(folder)}"),
             *_manifest(row, folder)]
    if getattr(row, "substitutes", ()):
        lines.append(("in its place", ", ".join(row.substitutes) + ", where no mirror has it"))
    for part in row.parts(folder):
        lines.append(("file", part.name + (f", {part.size:,} bytes" if part.size else "")))
        lines += [("  asked of" if number == 0 else "", url) for number, url in enumerate(part.urls)]
    lines.append(("by hand", f"mxft zoo get {row.name} --file PATH ...: {row.by_hand(folder)}"))
    if not os.environ.get(MIRRORS_VARIABLE):
        lines.append(("mirrors", f"none of your own; {MIRRORS_VARIABLE}=base,base names addresses or folders"))
    return "\n".join(f"{title:<12} {text}" for title, text in lines if text)


def _manifest(row, folder):
    """Return the lines of the manifest: of the one in the cache, or what it will say."""
    manifest, path = row.manifest(), row.place(folder) + "-manifest.json"
    if not manifest:
        return []
    if row.cached(folder) and os.path.exists(path):
        with contextlib.suppress(ValueError), open(path, encoding="utf-8") as f:
            manifest = json.load(f)
    return [("input", _pixels(manifest.get("input"))),
            ("feature", manifest.get("feature_layer") or "the layer is found in the graph when it is converted"),
            ("from", manifest.get("source"))]


def _pixels(entry):
    from mxft.network.input_spec import InputSpec

    return InputSpec.from_dict(entry).describe() if entry else "found when it is imported"


def _called(row):
    """Return the names to list: of a Gluon model the one with its store, of the others all."""
    return row.name if ":" in row.name else ", ".join((row.name, *row.aliases))


def _input(row):
    entry = row.manifest().get("input")
    if not entry:
        return ""
    size = entry["size"] if isinstance(entry["size"], int) else entry["size"][0]
    scaled = entry["scale"] if isinstance(entry["scale"], list) else [entry["scale"]]
    pixels = "scaled" if any(value != 1 for value in scaled) else "less mean" if any(entry["mean"]) else "raw"
    return f"{size} {pixels}"


def _score(row):
    measures = {name: value for name, value in row.published().items() if name != "top-5"}
    return ", ".join(f"{name} {value:.4f}" for name, value in measures.items())


def _short_digest(row):
    digest = row.digest()
    return f"{digest[0]} {digest[1][:8]}" if digest else ""


def _size(row):
    return getattr(row, "size", None)
