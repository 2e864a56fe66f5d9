"""JSON of another shape than was written: wrong types, missing and huge values, depth, NaN."""
import copy
import json

VALUES = (None, True, False, 0, -1, 1, 3.5, float("nan"), float("inf"), -float("inf"), 1e308, 2**31, 2**63, 10**40, "",
          "x", "\u0000", "ä" * 300, "0", "nan", [], {}, [None], [[]], {"": None}, [[[[[1]]]]], ["x"] * 1000,
          "../../etc")
WHOLE = (b"null", b"[]", b"{}", b"1", b'"text"', b"NaN", b"[" * 100_000, b'{"a":' * 50_000 + b"1", b"\xef\xbb\xbf{}",
         b'{"nodes": []}', b'{"nodes": {}, "heads": 1}', b"[" + b"1," * 200_000 + b"1]", b"1" * 5000, b"{'a': 1}")


def damage_json(rng, data):
    """Return (name, bytes): a whole other document, or one to four values of this one replaced, taken out or repeated.

    `data` is a JSON document, or one a line.
    """
    if rng.randint(8) == 0:
        return "document", WHOLE[rng.randint(len(WHOLE))]
    lines = data.splitlines()
    by_line = len(lines) > 1 and lines[1].startswith(b"{")
    if not by_line:
        return "values", json.dumps(_damaged(rng, json.loads(data))).encode()
    at = rng.randint(len(lines))
    lines[at] = json.dumps(_damaged(rng, json.loads(lines[at]))).encode()
    if rng.randint(4) == 0:
        del lines[rng.randint(len(lines))]
    return "values", b"\n".join(lines) + b"\n"


def _damaged(rng, value):
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 5)):
        places = list(_places(value))
        if not places:
            return _other(rng)
        holder, key = places[rng.randint(len(places))]
        way = rng.randint(6)
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif way == 1:
            holder[f"{key}2"] = holder.pop(key)
        else:
            holder[key] = _other(rng)
    return value


def _other(rng):
    return copy.deepcopy(VALUES[rng.randint(len(VALUES))])


def _places(value, depth=0):
    """Yield (holder, key) of all values; those near the root twice as often as those in lists of hundreds."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items)[:200]:
        yield value, key
        if depth < 1:
            yield value, key
        yield from _places(inner, depth + 1)
