"""The tests' side: runs each test, passes on what it calls to the worker, and tells the judge how many passed.

Arguments: the pipe of the results to read from, that of the calls to write to, and that on which the judge listens.
On standard input, as JSON: the tests, the setup that runs before them, and the names that they call of the program.
"""
import _thread
import json
import os
import sys

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


def run(job, worker, stand_ins, found):
    """Run all tests; `found["passed"]` counts those that went through."""
    heard = worker.hear()
    if "failed" in heard:
        raise Gone(f"raised {str(heard['failed'])[:40]}")
    missing = [name for name in job["names"] if name not in heard.get("names", ())]
    if missing:
        raise Gone(f"doesn't define {missing[0]}")
    ours = {name: stand_ins.named(name) for name in job["names"]}
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
        found["passed"] += 1
    if doubt := stand_ins.doubt(job["tests"]):
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
    if isinstance(error, (Unsupported, AttributeError)) or stand_ins.untold():
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
