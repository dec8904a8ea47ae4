"""The program's side: loads the program, says what it defines, and then does what the tests ask for.

Arguments: the pipe of the calls to read from, and that of the results to write to. The program is on standard input.
The program may change anything in this process. It gains nothing: the tests are in another, and take only values.
"""
import enum
import io
import json
import os
import sys
import types

from .plain import PLAIN, Seen, pack, send, unpack

FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType)


def has_methods(kind):
    """Whether the program wrote methods for a class, or for one that it is made from."""
    for value in [value for base in kind.__mro__ for value in vars(base).values()]:
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        if getattr(getattr(function, "__code__", None), "co_filename", None) == "answer":
            return True
    return False


class Program:
    """A program that was loaded, and what is held for the tests: objects that aren't plain, by number."""

    def __init__(self, text):
        module = sys.modules["answer"] = types.ModuleType("answer")
        self.world, self.held, self.loop = module.__dict__, Seen(), None
        exec(compile(text, "answer", "exec"), self.world)

    def names(self):
        """The names that the program left behind."""
        return [name for name in self.world if isinstance(name, str)]

    def say(self, x, seen):
        """What isn't plain: a class of the program's, an object of it, a function, an iterator; None for the rest."""
        kind = type(x)
        if issubclass(kind, (enum.Enum, tuple)) and "callable" not in (said := self.say_class(kind, seen)):
            if "fields" in said:
                return {"named": [said, [pack(item, seen, self.say) for item in tuple.__iter__(x)]]}
            if x.name in kind.__members__:
                return {"member": [said, x.name]}
        if issubclass(kind, PLAIN):
            return None
        if issubclass(kind, type):
            return self.say_class(x, seen)
        return {self.handle(x, kind): [self.held.number(x), getattr(x, "__name__", kind.__name__)]}

    def handle(self, x, kind):
        """What the tests may do with an object: to call it, to step through it, or to pass it back and nothing else."""
        if kind in FUNCTIONS:
            return "function"
        if kind.__eq__ is object.__eq__ and not hasattr(kind, "__bool__") and not hasattr(kind, "__len__"):
            for method, what in (("__next__", "iterator"), ("__await__", "awaitable"), ("__anext__", "stream")):
                if hasattr(kind, method):
                    return what
        return "callable" if callable(x) else "object"

    def say_class(self, x, seen):
        """A class: one of Python's, or what is needed to make one like it (enumerations, named tuples, exceptions)."""
        if x.__module__ == "builtins":
            return {"builtin": x.__name__}
        number, name = self.held.number(x), x.__name__
        if issubclass(x, BaseException):
            return {"exception": self.say_exception(x)}
        if has_methods(x):
            return {"callable": [number, name]}
        if issubclass(x, enum.Enum):
            kind = next(base.__name__ for base in x.__mro__ if base.__module__ == "enum")
            members = [[key, pack(member.value, seen, self.say)] for key, member in x.__members__.items()]
            mixed = None if kind != "Enum" or x._member_type_ is object else x._member_type_.__qualname__
            return {"enumeration": [number, name, kind, members, mixed]}
        if issubclass(x, tuple) and hasattr(x, "_fields"):
            return {"fields": [number, name, list(x._fields)]}
        return {"callable": [number, name]}

    def say_exception(self, kind):
        """The name of an exception's class, and that of its base, and so on."""
        ours = kind.__module__.split(".")[0] not in sys.stdlib_module_names
        base = self.say_exception(kind.__bases__[0]) if kind is not BaseException else None
        return [self.held.number(kind) if ours else None, kind.__name__ if ours else
                f"{kind.__module__}.{kind.__qualname__}", base]

    def raised(self, error, seen):
        """An exception that the program raised, for the tests to raise again."""
        args = error.args
        if isinstance(error, OSError) and error.filename is not None:
            args = (*args[:2], error.filename)  # which it doesn't count among its arguments
        args = [pack(item, seen, self.say) for item in args]
        return {"raised": [self.say_exception(type(error)), args, str.__str__(str(error))]}

    def hear(self, tag, value, seen):
        """What the tests say of things that are held here, of classes, and of iterators of their own."""
        if tag == "held":
            return self.held.things[value]
        if tag == "member":
            return self.held.things[value[0]][value[1]]
        if tag == "named":
            return self.held.things[value[0]]._make(unpack(item, seen, self.hear) for item in value[1])
        if tag == "items":
            return iter([unpack(item, seen, self.hear) for item in value])
        return getattr(sys.modules["builtins"], value)

    def called(self, asked):
        """Call something with arguments; what it returned, and what it made of the arguments."""
        seen = Seen()
        args, kwargs = unpack(asked["args"], seen, self.hear)
        given = len(seen.things)
        try:
            result, error = self.held.things[asked["call"]](*args, **kwargs), None
        except BaseException as raised:
            result, error = None, raised
        reply = {}
        if pack((args, kwargs), None, self.say) != asked["args"]:
            copies = [(i, seen.things[i].copy()) for i in range(given)]  # a copy goes over as its contents
            reply["changed"] = [[i, pack(copy, seen, self.say)] for i, copy in copies]
        return reply | (self.raised(error, seen) if error is not None else {"value": pack(result, seen, self.say)})

    def stepped(self, asked):
        """The next items of an iterator, as many as asked for; fewer where it ends or raises."""
        seen, items, iterator = Seen(), [], self.held.things[asked["next"]]
        reply = {"items": items}
        try:
            while len(items) < asked["most"]:
                items.append(pack(next(iterator), seen, self.say))
        except StopIteration:
            reply["end"] = True
        except BaseException as error:
            reply |= self.raised(error, seen)
        return reply

    def awaited(self, asked):
        """What an awaitable gives, or a stream's next item."""
        import asyncio

        self.loop = self.loop or asyncio.new_event_loop()
        x, seen = self.held.things[asked["await"]], Seen()

        async def wait():
            return await (anext(x) if asked["stream"] else x)
        try:
            return {"value": pack(self.loop.run_until_complete(wait()), seen, self.say)}
        except StopAsyncIteration:
            return {"end": True}
        except BaseException as error:
            return self.raised(error, seen)

    def answer(self, asked):
        """The reply to one message of the tests."""
        if "name" in asked:
            return {"value": pack(self.world[asked["name"]], None, self.say)}
        return (self.called if "call" in asked else self.stepped if "next" in asked else self.awaited)(asked)


class Printed:
    """Standard output in memory, which goes to the tests with each reply."""

    def __init__(self):
        self.bytes = io.BytesIO()
        sys.stdout, sys.stdin = io.TextIOWrapper(self.bytes, "utf-8", "replace", write_through=True), io.StringIO()

    def take(self):
        """What was printed since the last time."""
        if self.bytes.closed or not self.bytes.tell():
            return {}
        text = self.bytes.getvalue().decode("utf-8", "replace")
        self.bytes.seek(0)
        self.bytes.truncate()
        return {"printed": text}


def main(calls, results):
    with os.fdopen(0, encoding="utf-8", errors="surrogatepass") as file:
        text = file.read()
    send(results, {"ready": True})  # whatever comes now, this place works
    for fd in (0, 2):
        os.dup2(1, fd)  # there is nothing to read, and what is written to standard error is nobody's
    printed = Printed()
    try:
        program = Program(text)
        printed.take()
        send(results, {"names": program.names()})
    except BaseException as error:
        return send(results, {"failed": type(error).__name__})
    for line in os.fdopen(calls, "rb"):
        try:
            reply = json.dumps(program.answer(json.loads(line)) | printed.take())
        except BaseException as error:
            reply = json.dumps({"lost": f"{type(error).__name__} on the way"})
        send(results, reply)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
