"""The tests' side: runs each test, passes on what it calls to the worker, and tells the judge how many passed.

Arguments: the pipe of the results to read from, that of the calls to write to, and that on which the judge listens.
On standard input, as JSON: the tests, the setup that runs before them, the names that they call of the program, and
gold's code (or null). The program is tested with the names that it defines. Where these are several, one may be a tool
of the tests by which they look at another's results. So each is then tested with gold's in the place of the others.
"""
import _thread
import enum
import json
import os
import sys
import types

from .kinds import Named
from .plain import Gone, Trouble, Unsupported, send
from .stand_ins import StandIns

LONGEST = 50_000_000  # bytes of a result


class Worker:
    """The program at the other end of two pipes."""

    def __init__(self, results, calls):
        self.results, self.calls, self.turn = os.fdopen(results, "rb"), calls, _thread.allocate_lock()

    def hear(self):
        """The next reply. Raises Gone where there is none, Unsupported where a value couldn't be said."""
        try:
            line = self.results.readline(LONGEST)
            if not line.endswith(b"\n"):
                raise Gone("ended before the tests did" if len(line) < LONGEST else "returns too much")
            heard = json.loads(line)
            sys.stdout.write(heard.pop("printed", ""))
        except (ValueError, RecursionError, MemoryError, AttributeError, TypeError):
            raise Gone("broke the talk with the tests") from None
        if "lost" in heard:
            raise Unsupported(heard["lost"])
        return heard

    def ask(self, message):
        """Send a message, and hear the reply to it; one thread of the tests at a time."""
        with self.turn:
            try:
                send(self.calls, message)
            except BrokenPipeError:
                raise Gone("ended before the tests did") from None
            return self.hear()


def gold_of(job):
    """What gold's code defines, run anew."""
    module = sys.modules["gold"] = types.ModuleType("gold")
    try:
        exec(compile(job["gold"], "gold", "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise Unsupported(f"gold's own code gives {type(error).__name__}") from None
    return module.__dict__


def names_of_the_program(job, worker, stand_ins):
    """What stands for the names under test. Numbers and other values that only gold has are gold's."""
    heard = worker.hear()
    if "failed" in heard:
        raise Gone(f"raised {str(heard['failed'])[:40]}")
    missing = [name for name in job["names"] if name not in heard.get("names", ())]
    gold = gold_of(job) if job["gold"] and len(missing) < len(job["names"]) and missing else {}
    for name in missing:
        if name not in gold or callable(gold[name]):
            raise Gone(f"doesn't define {name}")
    return {name: gold[name] if name in missing else stand_ins.named(name) for name in job["names"]}


def try_out(job, ours, passed=lambda: None):
    """Run the setup and all tests with these names; `passed` is called after each that went through."""
    world = {"__name__": "tests"} | ours
    try:
        exec(job["setup"], world)
    except Exception as error:
        if not getattr(error, "of_the_program", False):  # nor is it the program's fault
            raise Unsupported(f"the setup of the tests gives {type(error).__name__}") from None
        raise
    for test in job["tests"]:
        world |= ours  # the program's names as they were: a test may have changed them
        exec(compile(test, "test", "exec"), world)
        if Trouble.all:  # which the test has caught
            raise Trouble.all[0]
        passed()


def same_kind(ours, gold, anew):
    """Whether a class of the program's (made `anew` here, or one of Python's) can do no more for it than gold's: an
    exception of Python's own would be raised by mistakes, and a member may be another one by a second name."""
    if not anew:
        return ours is gold
    if not isinstance(gold, type):
        return False
    if issubclass(ours, enum.Enum):
        return issubclass(gold, enum.Enum) and all(
            name in ours.__members__ and ours[name].name == member.name for name, member in gold.__members__.items())
    return issubclass(ours, BaseException) == issubclass(gold, BaseException)


def with_gold(job, stand_ins, ours):
    """Run the tests once more for each of several names: that one the program's, and the others gold's. A name that gave
    nothing but objects to hand back (a class, mostly) stays the program's, and must go on so; so does a function that
    was only handed over, but for its own turn."""
    gold, numbers, telling, kept = gold_of(job), stand_ins.numbers, [], {}
    for name, thing in ours.items():
        if name not in gold:
            raise Unsupported(f"nobody but the program says what {name} is")
        number, is_class = numbers.get(id(thing)), issubclass(type(thing), type)
        if is_class and not same_kind(thing, gold[name], number is not None):
            raise Unsupported(f"{name} is another kind of thing than gold's")
        if not is_class and (number is None or number in stand_ins.told):
            telling.append(name)
        else:
            kept[name] = thing
    handed = [name for name, thing in kept.items() if type(thing) is Named and numbers[id(thing)] not in stand_ins.turned]
    turns = ([name for name in telling if callable(gold[name])] or telling) + handed
    for name in turns if len({*telling, *handed}) > 1 else ():
        stand_ins.closed = {numbers[id(thing)] for other, thing in kept.items() if id(thing) in numbers and other != name}
        gold = gold_of(job)
        gold |= kept  # whose exceptions the tests expect
        others = [other for other in telling if other != name]
        try:
            try_out(job, ours | {other: gold[other] for other in others})
        except BaseException:
            Trouble.all.clear()
            raise Unsupported(f"{name} isn't known to pass without the program's {', '.join(others)}") from None


def run(job, worker, stand_ins, found):
    """Run all tests; `found["passed"]` counts those that went through."""
    ours = names_of_the_program(job, worker, stand_ins)

    def passed():
        found["passed"] += 1
    try_out(job, ours, passed)
    texts = [*job["tests"], job["setup"]]
    if not (doubt := stand_ins.doubt(texts)) and job["gold"] is not None:
        with_gold(job, stand_ins, ours)
        doubt = stand_ins.doubt([*texts, job["gold"]])
    if doubt:
        raise Unsupported(doubt)
    found["label"] = "correct"


def why(error, stand_ins):
    """What a test that didn't go through says of the program."""
    error = Trouble.all[0] if Trouble.all else error
    if isinstance(error, Gone):
        return {"why": str(error)}
    if getattr(error, "of_the_program", False):
        return {"why": f"raised {error.of_the_program[:40]}"}
    if isinstance(error, AssertionError):
        return {"why": "fails a test", "said": str(error)[:5000]}
    if isinstance(error, (Unsupported, AttributeError, ImportError)) or stand_ins.untold():
        return {"label": "unparsed", "why": f"can't be tested from outside ({type(error).__name__}: {error})"}
    return {"why": f"gives a test {type(error).__name__}"}


def main(results, calls, telling):
    with os.fdopen(0, encoding="utf-8", errors="surrogatepass") as file:
        job = json.load(file)
    worker = Worker(results, calls)
    try:
        worker.hear()  # that it is there
    except Trouble:
        return  # it has said why, and the judge hears of no tests
    os.write(telling, b"ready\n")  # whatever comes now, both places work
    stand_ins = StandIns(worker.ask)
    found = {"label": "incorrect", "passed": 0, "why": "", "said": ""}
    try:
        run(job, worker, stand_ins, found)
    except BaseException as error:
        found |= why(error, stand_ins)
        found["why"] = "".join(c for c in found["why"][:300] if c.isprintable())  # the program has a part in it
    send(telling, found)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
