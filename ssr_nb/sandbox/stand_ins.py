"""What the tests hold in place of the program's functions, classes and objects.

Everything that the program says comes through here, and nothing made here runs the program's own comparison. Members of
an enumeration and named tuples are made anew. Iterators and what can be awaited do what they are for, and are equal to
themselves alone, as Python's are. All else of a stand-in is refused: it is neither true nor false, and unequal to
nothing. So where a program returns what isn't a value (it yields, say, where it should return), a test that asks no
more than whether it is true gets no answer.
"""
import ast
import builtins
import collections
import enum
import sys
from contextlib import contextmanager

from .kinds import Awaitable, Callable, Function, Iterator, Named, Object, Stream
from .plain import EXACT, Gone, Seen, Trouble, Unsupported, pack, refill, unpack

LONGEST = 100_000  # items that are taken of a test's own iterator
STOPPERS = {"StopIteration", "StopAsyncIteration", "GeneratorExit", "SkipTest"}  # they end what they come from in peace


def text_of(error):
    """The text that the program gave an exception of its own."""
    return error.text if hasattr(error, "text") else Exception.__str__(error)


def words_of(tests):
    """The names in tests. An `except` without any catches what `BaseException` does."""
    nodes = [node for test in tests for node in ast.walk(ast.parse(test))]
    said = {getattr(node, "id", None) or getattr(node, "attr", None) for node in nodes}
    bare = any(isinstance(node, ast.ExceptHandler) and node.type is None for node in nodes)
    return said | ({"BaseException"} if bare else set())


@contextmanager
def sense():
    """Raise Gone for what the worker says and nobody can make sense of: it is no error of the program's."""
    try:
        yield
    except Exception:
        raise Gone("broke the talk with the tests") from None


class StandIns:
    """Makes and keeps stand-ins, one for each number that the worker gave; `ask` sends a message and hears a reply."""

    def __init__(self, ask):
        self.ask, self.made, self.numbers, self.known = ask, {}, {}, set()
        self.came, self.asked = set(), set()  # by number: what results held, what the tests turned to
        self.turned, self.told, self.closed = set(), set(), set()  # by number: what was called or stepped through; what
        # of these gave more than objects to hand back; what must not
        self.raised = []  # of each error: the names of its class and of those that this is made from

    def get(self, number, make):
        """The stand-in of that number."""
        if number not in self.made:
            self.made[number] = make()
            self.numbers[id(self.made[number])] = number
        return self.made[number]

    def named(self, name):
        """What the program has by that name. A function is one of the tests', which has the program's called."""
        made = self.result(self.ask({"name": name}), Seen())
        self.came.clear()  # what the tests name is no result
        if type(made) is not Function:
            return made
        number = self.numbers[id(made)]
        self.known.add(number)
        made = Named(made.call, made.call.__name__)
        self.numbers[id(made)] = number
        return made

    def tell(self, number, told):
        """Note that a thing of that number gave the tests something, or (not `told`) an object to hand back."""
        self.turned.add(number)
        if told:
            self.told.add(number)
        if told and number in self.closed:
            raise Unsupported("what only gave objects to hand back, and now gives more")

    def untold(self):
        """Whether the tests hold an object of which they can know nothing, other than the functions that they call."""
        return any(issubclass(type(x), Object) for number, x in self.made.items() if number not in self.known)

    def doubt(self, tests):
        """Why these tests, which went through, tell nothing; None where they tell. Python can't be kept from finding
        that an object is not None, or that it is one item of a list. And an error that no test names may have been
        lost on its way: it ended an iteration over calls, or a thread of the tests."""
        if self.came - self.asked or self.came & self.known:
            return "an object of the program's of which the tests ask nothing"
        words = words_of(tests)
        for names in self.raised:
            wide = ("Exception", "BaseException") if STOPPERS.intersection(names) else ()
            if not words.intersection(names).difference(wide):
                return f"{names[0][:40]} from a call, which may have cut a test short: no test names it"
        return None

    def say(self, x, seen):
        """What isn't plain, for the worker."""
        if id(x) in self.numbers:
            if type(x) is Iterator and x.items:
                raise Unsupported("an iterator that was stepped through")
            self.asked.add(self.numbers[id(x)])
            return {"held": self.numbers[id(x)]}
        if id(type(x)) in self.numbers:
            items = x.name if isinstance(x, enum.Enum) else [pack(item, seen, self.say) for item in x]
            return {"member" if isinstance(x, enum.Enum) else "named": [self.numbers[id(type(x))], items]}
        if isinstance(x, (type, type(len))) and getattr(builtins, x.__name__, None) is x:
            return {"builtin": x.__name__}
        if hasattr(type(x), "__next__"):
            items = [pack(item, seen, self.say) for _, item in zip(range(LONGEST), x)]
            return {"items": items} if len(items) < LONGEST else None
        return None

    def hear(self, tag, value, seen):
        """The stand-in for what isn't plain."""
        if tag == "builtin":
            return self.builtin(value)
        if tag == "exception":
            return self.exception(value)
        if tag in ("member", "named"):
            kind = "enumeration" if tag == "member" else "fields"
            made = self.hear(kind, value[0][kind], seen)
            return made[value[1]] if tag == "member" else made._make(unpack(i, seen, self.hear) for i in value[1])
        number, name, *rest = value
        make = {"function": self.function, "iterator": self.iterator, "awaitable": self.awaitable,
                "stream": self.stream, "object": self.object, "callable": self.callable,
                "enumeration": self.enumeration, "fields": self.fields}[tag]
        if tag not in ("enumeration", "fields"):
            self.came.add(number)
        return self.get(number, lambda: make(number, name, *rest))

    def builtin(self, name):
        """A class of Python's own."""
        kind = getattr(builtins, name, None)
        if not isinstance(kind, type):
            raise Unsupported(f"builtins.{name}")
        return kind

    def object(self, number, name):
        return Object()

    def callable(self, number, name, kind=Callable):
        """An object whose call has the program's one called, and returns what that returns."""
        def call(*args, **kwargs):
            seen = Seen()
            self.asked.add(number)
            heard = self.ask({"call": number, "args": pack((args, kwargs), seen, self.say)})
            result, told = None, True
            try:
                result = self.result(heard, seen)
                told = type(result) is not Object
            finally:
                self.tell(number, told)
            return result
        call.__name__ = call.__qualname__ = str(name)
        self.numbers[id(call)] = number
        made = kind()
        object.__setattr__(made, "call", call)
        return made

    def function(self, number, name):
        return self.callable(number, name, Function)

    def iterator(self, number, name):
        def more(most):
            self.asked.add(number)
            self.tell(number, True)
            heard, seen = self.ask({"next": number, "most": most}), Seen()
            with sense():
                items = [unpack(item, seen, self.hear) for item in heard["items"]]
                return items, self.error(heard["raised"], seen) if "raised" in heard else None, "end" in heard
        return Iterator(more, self.lost)

    def awaitable(self, number, name):
        async def wait():
            self.asked.add(number)
            self.tell(number, True)
            return self.result(self.ask({"await": number, "stream": False}), Seen())
        return Awaitable(wait())

    def stream(self, number, name):
        async def items():
            self.asked.add(number)
            self.tell(number, True)
            while "end" not in (heard := self.ask({"await": number, "stream": True})):
                yield self.result(heard, Seen())
        return Stream(items())

    def enumeration(self, number, name, kind, members, mixed):
        """A class of the same members, of the same kind, whose members are values of a type of Python's as well, where
        theirs are. Their names can't be those of methods, nor their values functions."""
        values = [(key, unpack(value)) for key, value in members]
        kinds = ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
        mixes = {None: None} | ({base.__name__: base for base in EXACT} if kind == "Enum" else {})
        if kind not in kinds or any(key.startswith("_") for key, _ in values) or mixed not in mixes:
            raise Unsupported(f"enumeration {name}")
        return getattr(enum, kind)(name, values, type=mixes[mixed])

    def fields(self, number, name, fields):
        return collections.namedtuple(name, fields)

    def exception(self, said):
        """An exception's class: the standard library's where the tests have it, or one made on the same base."""
        number, name, base = said
        if number is not None:
            return self.get(number, lambda: type(name, (self.exception(base),), {"__str__": text_of}))
        module, _, short = name.rpartition(".")
        known = module.split(".")[0] in sys.stdlib_module_names
        kind = getattr(sys.modules.get(module), short, None) if known else None
        if isinstance(kind, type) and issubclass(kind, BaseException):
            return kind
        return self.exception(base) if base else Exception

    def error(self, said, seen):
        """An exception of the program's, ready to be raised here."""
        kind, args = self.exception(said[0]), [unpack(item, seen, self.hear) for item in said[1]]
        try:
            error = kind(*args)
        except Exception:  # some want other arguments than they keep
            try:
                error = kind.__new__(kind)
                error.args = tuple(args)
            except Exception:
                raise Unsupported(f"an exception, {kind.__name__}") from None
        error.text, error.of_the_program = str(said[2]), str(said[0][1]).rpartition(".")[2]
        return error

    def lost(self, error):
        """Note an error that is about to be raised in a test, which may lose it on the way."""
        self.raised.append([base.__name__ for base in type(error).__mro__])
        return error

    def result(self, heard, seen):
        """What a call returned, once the arguments are what it made of them. Raises what the program raised."""
        with sense():
            for i, contents in [(i, unpack(said, seen, self.hear)) for i, said in heard.get("changed", ())]:
                refill(seen.things[i], contents)
            error = self.error(heard["raised"], seen) if "raised" in heard else None
            result = None if error else unpack(heard["value"], seen, self.hear)
        if error:
            raise self.lost(error)
        return result
