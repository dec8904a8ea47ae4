"""What the worker and the tester say to each other: one line of JSON a message, with values as plain data.

JSON knows no tuples, sets, bytes or complex numbers. So each value but text, None, True and False goes over with a tag
for its type, and comes out as one of Python's own types: it can't bring along an `__eq__` of the program's.
"""
import json
import os

MANY = {"l": list, "t": tuple, "s": set, "z": frozenset}
LONGEST = 100_000  # as much is taken of an iterator, which may have no end


class Unsupported(Exception):
    """A value that is not plain data, and no token of the worker's either."""


class Token:
    """Stands with the tester for an object of the worker's, which can be passed back."""

    def __init__(self, number):
        self.number = number


def pack(x, keep=None):
    """A value as what JSON can say. The worker keeps what isn't plain in the list `keep`, and sends its number;
    the tester has no such list, and raises Unsupported.

    >>> pack((1, [2.5, "a"]))
    {'t': [{'n': '0x1'}, {'l': [{'f': '0x1.4000000000000p+1'}, 'a']}]}
    """
    if x is None or isinstance(x, (bool, str)):
        return x if type(x) in (bool, type(None)) else str(x)
    if isinstance(x, int):
        return {"n": hex(x)}
    if isinstance(x, float):
        return {"f": float(x).hex()}
    if isinstance(x, complex):
        return {"c": [x.real.hex(), x.imag.hex()]}
    if isinstance(x, (bytes, bytearray)):
        return {"b": bytes(x).hex()}
    for tag, kind in MANY.items():
        if isinstance(x, kind):
            return {tag: [pack(item, keep) for item in x]}
    if isinstance(x, dict):
        return {"d": [[pack(k, keep), pack(v, keep)] for k, v in x.items()]}
    return pack_object(x, keep)


def pack_object(x, keep):
    """A token, an iterator's items, or an object of a class that the other side doesn't know."""
    if isinstance(x, Token):
        return {"o": x.number}
    if keep is None:
        raise Unsupported(type(x).__name__)
    if hasattr(x, "__next__"):
        return {"i": [pack(item, keep) for _, item in zip(range(LONGEST), x)]}
    keep.append(x)
    return {"o": len(keep) - 1}


def unpack(x, kept=None):
    """The value that `pack` packed. With the worker, tokens become the objects in `kept` again."""
    if x is None or isinstance(x, (bool, str)):
        return x
    if not isinstance(x, dict):
        raise Unsupported(type(x).__name__)
    (tag, value), = x.items()
    if tag in MANY:
        return MANY[tag](unpack(item, kept) for item in value)
    if tag == "d":
        return {unpack(k, kept): unpack(v, kept) for k, v in value}
    if tag == "i":
        return iter([unpack(item, kept) for item in value])
    if tag == "o":
        return Token(value) if kept is None else kept[value]
    return {"n": lambda: int(value, 16), "f": lambda: float.fromhex(value), "b": lambda: bytes.fromhex(value),
            "c": lambda: complex(*map(float.fromhex, value))}[tag]()


def send(fd, message):
    """Write a message as a line of JSON to a pipe."""
    data = (json.dumps(message) + "\n").encode()
    while data:
        data = data[os.write(fd, data):]
