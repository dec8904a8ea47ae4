"""What the worker and the tester say to each other: one line of JSON a message, with values as plain data.

JSON knows no tuples, sets, bytes or dates. So each value but text, None, True and False goes over with a tag for its
type, and is built anew on the other side, as one of Python's own types: it can't bring along an `__eq__` of the
program's. What can be changed gets a number when it comes for the first time, so that a list that comes twice is one
list on the other side, too, and a change of it can be told.

What isn't plain, each side says and hears in its own way (`special`).
"""
import importlib
import json
import os


class Trouble(BaseException):
    """What ends a test without telling about the program's results. No Exception, so that no test takes it for one of
    the program's; and should a test catch it all the same, it is still in the list."""
    all = []

    def __init__(self, why):
        super().__init__(why)
        self.all.append(self)


class Unsupported(Trouble):
    """A value that can't go over, or what can't be done with it from the other side."""


class Gone(Trouble):
    """The other side is not there any more, or says what makes no sense."""


class Seen:
    """What can be changed, in the order in which it went over in one exchange."""

    def __init__(self):
        self.things, self.numbers = [], {}

    def add(self, thing):
        """Give a thing the next number. It is held, so that no later one can have its identity."""
        self.numbers[id(thing)] = len(self.things)
        self.things.append(thing)
        return thing

    def number(self, thing):
        """The number of a thing, which gets one if it has none."""
        if id(thing) not in self.numbers:
            self.add(thing)
        return self.numbers[id(thing)]


ATOMS = {  # of each type: its tag, how its value is written, and how it is read
    int: ("n", hex, lambda text: int(text, 16)), float: ("f", float.hex, float.fromhex),
    complex: ("c", lambda x: [x.real.hex(), x.imag.hex()], lambda parts: complex(*map(float.fromhex, parts))),
    bytes: ("b", bytes.hex, bytes.fromhex),
}
EXACT = {int: int.__index__, float: float.__float__, complex: complex.__complex__, bytes: bytes.__bytes__,
         str: str.__str__}  # the value alone of one whose class is made from these
FIXED = {tuple: "t", frozenset: "z"}
CHANGING = {list: "l", set: "s", dict: "d", bytearray: "B"}
PLAIN = (*EXACT, *FIXED, *CHANGING)

PARTS = {  # of each type by name: of what a value is made
    "builtins.range": lambda x: (x.start, x.stop, x.step), "builtins.slice": lambda x: (x.start, x.stop, x.step),
    "builtins.dict_keys": tuple, "builtins.dict_values": tuple, "builtins.dict_items": tuple,
    "decimal.Decimal": lambda x: (str(x),), "fractions.Fraction": lambda x: (x.numerator, x.denominator),
    "datetime.date": lambda x: (x.year, x.month, x.day),
    "datetime.time": lambda x: (x.hour, x.minute, x.second, x.microsecond, x.tzinfo),
    "datetime.datetime": lambda x: (x.year, x.month, x.day, x.hour, x.minute, x.second, x.microsecond, x.tzinfo),
    "datetime.timedelta": lambda x: (x.days, x.seconds, x.microseconds),
    "datetime.timezone": lambda x: (x.utcoffset(None), x.tzname(None)),
    "collections.deque": lambda x: (tuple(x), x.maxlen), "collections.Counter": lambda x: (dict(x),),
    "collections.OrderedDict": lambda x: (dict(x),), "collections.defaultdict": lambda x: (x.default_factory, dict(x)),
}
MADE = {  # where the type itself doesn't make it of those parts
    "builtins.dict_keys": lambda *keys: dict.fromkeys(keys).keys(),
    "builtins.dict_values": lambda *values: dict(enumerate(values)).values(),
    "builtins.dict_items": lambda *items: dict(items).items(),
}
CHANGING_BY_NAME = ("collections.deque", "collections.Counter", "collections.OrderedDict", "collections.defaultdict")


def pack(x, seen=None, special=lambda x, seen: None):
    """A value as what JSON can say. `special(x, seen)` says what isn't plain, or None; then Unsupported is raised.

    >>> pack((1, [2.5, "a"]))
    {'t': [{'n': '0x1'}, {'l': [{'f': '0x1.4000000000000p+1'}, 'a']}]}
    """
    kind = type(x)
    if x is None or kind is bool or kind is str:
        return x
    if kind in ATOMS:
        tag, write, _ = ATOMS[kind]
        return {tag: write(x)}
    seen = Seen() if seen is None else seen
    if kind in FIXED or kind in CHANGING:
        return pack_items(x, kind, seen, special)
    if f"{kind.__module__}.{kind.__qualname__}" in PARTS:
        return pack_parts(x, f"{kind.__module__}.{kind.__qualname__}", seen, special)
    if (said := special(x, seen)) is not None:
        return said
    base = next((base for base in PLAIN if issubclass(kind, base)), None)
    if base is None:
        raise Unsupported(kind.__name__)
    return pack(EXACT[base](x)) if base in EXACT else pack_items(x, base, seen, special)


def pack_items(x, kind, seen, special):
    """What a list or the like holds; the number of one that came before."""
    if kind in FIXED:
        return {FIXED[kind]: [pack(item, seen, special) for item in kind.__iter__(x)]}
    if id(x) in seen.numbers:
        return {"m": seen.numbers[id(x)]}
    seen.add(x)
    if kind is bytearray:
        return {"B": bytearray.hex(x)}
    if kind is dict:
        return {"d": [[pack(k, seen, special), pack(v, seen, special)] for k, v in dict.items(x)]}
    return {CHANGING[kind]: [pack(item, seen, special) for item in kind.__iter__(x)]}


def pack_parts(x, name, seen, special):
    """A value of the standard library, as its type's name and what it is made of."""
    if id(x) in seen.numbers:
        return {"m": seen.numbers[id(x)]}
    parts = [pack(part, seen, special) for part in PARTS[name](x)]
    if name in CHANGING_BY_NAME:
        seen.add(x)
    return {"p": [name, parts]}


def unpack(x, seen=None, special=None):
    """The value that `pack` packed. `special(tag, value, seen)` hears what isn't plain."""
    if x is None or isinstance(x, (bool, str)):
        return x
    (tag, value), = x.items()
    for name, _, read in ATOMS.values():
        if tag == name:
            return read(value)
    seen = Seen() if seen is None else seen
    if tag == "m":
        return seen.things[value]
    if tag == "p":
        return unpack_parts(*value, seen, special)
    for kind, name in (FIXED | CHANGING).items():
        if tag == name:
            return unpack_items(kind, value, seen, special)
    if special is None:
        raise Unsupported(f"tag {tag!r}")
    return special(tag, value, seen)


def unpack_items(kind, value, seen, special):
    """A list or the like, which has its number before it is filled: it may hold itself."""
    if kind in FIXED:
        return kind([unpack(item, seen, special) for item in value])
    x = seen.add(kind())
    if kind is bytearray:
        x += bytes.fromhex(value)
    elif kind is dict:
        for k, v in value:
            k = unpack(k, seen, special)
            x[k] = unpack(v, seen, special)
    else:
        add = x.append if kind is list else x.add
        for item in value:
            add(unpack(item, seen, special))
    return x


def unpack_parts(name, parts, seen, special):
    """A value of the standard library, made of its parts."""
    parts = [unpack(part, seen, special) for part in parts]
    module, _, short = name.rpartition(".")
    if name not in PARTS:
        raise Unsupported(name)
    x = (MADE[name] if name in MADE else getattr(importlib.import_module(module), short))(*parts)
    return seen.add(x) if name in CHANGING_BY_NAME else x


def refill(old, new):
    """Let a list or the like hold what another one holds."""
    if isinstance(old, (list, bytearray)):
        old[:] = new
    else:
        old.clear()
        (old.extend if hasattr(old, "extend") else old.update)(new)


def send(fd, message):
    """Write a message as a line of JSON to a pipe."""
    data = (message if isinstance(message, str) else json.dumps(message)).encode() + b"\n"
    while data:
        data = data[os.write(fd, data):]
