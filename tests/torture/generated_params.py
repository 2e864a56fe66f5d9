"""Parameter files nobody would save: headers of every version at their limits, and arrays that do not fit a network."""

import struct

import numpy as np

V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
SHAPES = (
    (),
    (0,),
    (1,),
    (3,),
    (4, 3, 3, 3),
    (3, 4),
    (0, 5),
    (-1, 3),
    (2**31, 2),
    (2**40,),
    (2**62, 4),
    (2**63 - 1, 2**63 - 1),
    (1,) * 32,
    (1,) * 33,
    (2**20, 2**14),
    (1, 0, 2**62),
    (65536,) * 4,
)
NAMES = (
    b"arg:conv0_weight",
    b"arg:fc7_weight",
    b"aux:bn0_moving_mean",
    b"conv0_weight",
    b"arg:",
    b"aux:",
    b"",
    b":",
    b"arg:arg:x",
    b"arg:a\0b",
    b"arg:\x1b[2J",
    b"\xff\xfe",
    b"n" * 5000,
    "arg:\u202e".encode(),
    b"arg:data",
    b"arg:softmax_label",
    b"arg:conv0_weight ",
    b"param:x",
)
# what the good network holds
TINY = {
    "arg:conv0_weight": (4, 3, 3, 3),
    "arg:conv0_bias": (4,),
    "arg:bn0_gamma": (4,),
    "arg:bn0_beta": (4,),
    "arg:fc7_weight": (3, 4),
    "arg:fc7_bias": (3,),
    "aux:bn0_moving_mean": (4,),
    "aux:bn0_moving_var": (4,),
}
SIZES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 12: 2}
KINDS = (0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 12, 8, 9, 99, -1, 2**31 - 1)


def params(rng, _):
    """Return (name, bytes): one to three headers at their limits, or the good network's arrays, some changed."""
    return _headers(rng) if rng.randint(2) else _of_network(rng)


def _choose(rng, values):
    return values[rng.randint(len(values))]


def _list(arrays, names, count=None, name_count=None):
    return (
        struct.pack("<QQQ", 0x112, 0, len(arrays) if count is None else count)
        + b"".join(arrays)
        + struct.pack("<Q", len(names) if name_count is None else name_count)
        + b"".join(struct.pack("<Q", len(name)) + name for name in names)
    )


def _array(shape, kind=0, magic=V2, storage=0, content=b"", device=1, number=0):
    if magic not in (V1, V2, V3):
        head = struct.pack(f"<I{len(shape)}I", len(shape), *(size & 0xFFFFFFFF for size in shape))
    else:
        head = struct.pack("<I", magic) + (b"" if magic == V1 else struct.pack("<i", storage))
        if storage in (1, 2) and magic != V1:
            head += struct.pack(f"<i{len(shape)}q", len(shape), *shape)
        head += struct.pack(f"<i{len(shape)}q", len(shape), *shape)
    return head + struct.pack("<iii", device, number, kind) + content


def _headers(rng):
    arrays, told = [], []
    for _ in range(rng.randint(1, 4)):
        magic, shape, kind = _choose(rng, (V1, V2, V2, V3, 0)), _choose(rng, SHAPES), _choose(rng, KINDS)
        storage, device = _choose(rng, (0, 0, 0, 0, 1, 2, 3, -1, 77)), _choose(rng, (1, 1, 1, 2, 3, 5, 0, 99, -1))
        held = _content(shape, kind) if rng.randint(4) else bytes(rng.randint(64))
        arrays.append(_array(shape, kind, magic, storage, held, device, _choose(rng, (0, 0, 0, 7, -1, 2**31 - 1))))
        told.append(f"{magic:x} {shape} {kind} {storage}")
    names = [_choose(rng, NAMES) for _ in range(len(arrays) if rng.randint(6) else rng.randint(5))]
    count, name_count = (_choose(rng, (None,) * 8 + (0, 1, 2**31, 2**62, 2**64 - 1)) for _ in range(2))
    return "; ".join(told)[:100], _list(arrays, names, count, name_count) + _choose(
        rng, (b"",) * 6 + (b"\0", b"PK\x03\x04")
    )


def _content(shape, kind):
    size = SIZES.get(kind, 1)
    for length in shape:
        size *= max(length, 0)
    return bytes(size) if size < 1 << 20 else bytes(64)


def _of_network(rng):
    """The good arrays, one to three of them of another shape, type, version, number, name, or gone."""
    entries = {name: (shape, 0, V2, rng.uniform(0.1, 1, shape).astype("<f4").tobytes()) for name, shape in TINY.items()}
    told = []
    for _ in range(rng.randint(1, 4)):
        name = _choose(rng, sorted(entries))
        shape, kind, magic, content = entries[name]
        way = _choose(rng, ("shape", "type", "version", "numbers", "gone", "renamed", "other", "swapped"))
        if way == "shape":
            shape = tuple(int(size) for size in rng.randint(1, 9, rng.randint(1, 6)))
            entries[name] = shape, 0, V2, bytes(4 * int(np.prod(shape)))
        elif way == "type":
            kind = _choose(rng, sorted(SIZES))
            entries[name] = shape, kind, V2, rng.bytes(int(np.prod(shape)) * SIZES[kind])
        elif way == "version":
            entries[name] = shape, kind, _choose(rng, (V1, V3, 0)), content
        elif way == "numbers":
            number = struct.pack("<f", _choose(rng, (float("nan"), float("inf"), -float("inf"), 3e38, 1e-45)))
            entries[name] = shape, 0, V2, number * int(np.prod(shape))
        elif way == "gone":
            del entries[name]
        elif way == "renamed":
            entries[_choose(rng, ("aux:" if name.startswith("arg:") else "arg:", "", "x:")) + name[4:]] = entries.pop(
                name
            )
        elif way == "other":
            entries[_choose(rng, NAMES).decode("utf-8", "surrogateescape")] = (2, 2), 0, V2, bytes(16)
        else:
            other = _choose(rng, sorted(entries))
            entries[name], entries[other] = entries[other], entries[name]
        told.append(f"{way} {name!a}")
        if not entries:
            break
    arrays = [_array(shape, kind, magic, content=content) for shape, kind, magic, content in entries.values()]
    return "; ".join(told)[:100], _list(arrays, [name.encode("utf-8", "surrogateescape") for name in entries])
