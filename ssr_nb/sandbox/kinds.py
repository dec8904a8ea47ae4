"""The kinds of thing that the tests hold in place of what the program has: its objects, functions and iterators.

Nothing here runs the program's own comparison. What can't be done from outside is refused: an object is neither true nor
false, and unequal to nothing. Iterators and what can be awaited do what they are for, and are equal to themselves alone,
as Python's are; but they aren't true.
"""
import collections.abc
import types

from .plain import Unsupported

NOT_REFUSED = "new init getattribute class init_subclass subclasshook doc class_getitem".split()
OPERATIONS = {name.strip("_") for kind in (int, float, str, list, dict, set) for name in dir(kind)
              if name.startswith("__")} | set(
    "getattr complex bytes next length_hint matmul rmatmul imatmul enter exit await aiter anext aenter aexit fspath "
    "copy deepcopy instancecheck subclasscheck mro_entries".split())
MOST = 1024  # items of an iterator at a time


def refused(operation):
    """A method that says that an operation can't be done from here."""
    def method(self, *args, **kwargs):
        raise Unsupported(f"{operation} of an object of the program's")
    return method


Object = type("Object", (), {f"__{name}__": refused(name) for name in OPERATIONS.difference(NOT_REFUSED)}
              | {"__slots__": ("call",), "__class__": property(refused("class"))})


class Callable(Object):
    """An object, or a class, of the program's that can be called."""
    __slots__ = ()

    def __call__(self, *args, **kwargs):
        return object.__getattribute__(self, "call")(*args, **kwargs)


class Function(Callable):
    """A function of the program's."""
    __slots__ = ()


class Named:
    """What the tests call by its name: it has the program's function called. It is equal to itself alone, and tells
    nothing but its name. Its signature, say, would not be that of the program's."""
    __slots__ = ("call", "name")

    def __init__(self, call, name):
        self.call, self.name = call, name

    def __getattribute__(self, name):
        if name in ("__name__", "__qualname__"):
            return object.__getattribute__(self, "name")
        if name in ("__module__", "__doc__", "__annotations__", "__type_params__", "__dict__"):
            raise AttributeError(name)  # which is what `functools.wraps` counts on
        raise Unsupported(f"{name} of a function of the program's")

    def __call__(self, *args, **kwargs):
        return object.__getattribute__(self, "call")(*args, **kwargs)

    def __get__(self, instance, owner=None):
        return self if instance is None else types.MethodType(self, instance)


class Stepwise:
    """What gives its values later. It is no value itself; Python would take it for a true one."""
    __bool__, __ne__, __hash__ = refused("bool"), refused("ne"), object.__hash__

    def __eq__(self, other):
        return self is other


class Iterator(Stepwise):
    """Steps through an iterator of the program's. It asks for twice as many items each time."""

    def __init__(self, more, lose):
        self.more, self.lose, self.items, self.error, self.ended, self.most = more, lose, [], None, False, 1

    def __iter__(self):
        return self

    def __next__(self):
        if not self.items and not self.ended and not self.error:
            self.items, self.error, self.ended = self.more(self.most)
            self.most = min(2 * self.most, MOST)
        if self.items:
            return self.items.pop(0)
        error, self.error, self.ended = self.error, None, True
        raise StopIteration if error is None else self.lose(error)


class Awaitable(Stepwise):
    """A coroutine of the program's, which `asyncio.run` takes for one of the tests'."""

    def __init__(self, inner):
        self.inner, self.send, self.throw, self.close = inner, inner.send, inner.throw, inner.close

    def __await__(self):
        return self.inner.__await__()


collections.abc.Coroutine.register(Awaitable)


class Stream(Stepwise):
    """An asynchronous iterator of the program's."""

    def __init__(self, inner):
        self.inner = inner

    def __aiter__(self):
        return self

    def __anext__(self):
        return self.inner.__anext__()
