"""The tests' side: runs each test, passes on what it calls to the worker, and tells the judge how many passed.

Arguments: the pipe of the results to read from, that of the calls to write to, and that on which the judge listens.
On standard input, as JSON: the tests, the setup that runs before them, and the names that they call of the program.
"""
import json
import os
import sys

from .plain import Unsupported, pack, send, unpack

LONGEST = 50_000_000  # bytes of a result


class Raised(Exception):
    """The program raised an exception, or went away."""


class Worker:
    """The program at the other end of two pipes."""

    def __init__(self, results, calls):
        self.results, self.calls = os.fdopen(results, "rb"), calls

    def hear(self):
        """The next reply. Raises Raised where there is none, or where the program raised."""
        line = self.results.readline(LONGEST)
        if not line.endswith(b"\n"):
            raise Raised("ended before the tests did")
        heard = json.loads(line)
        if "raised" in heard:
            raise Raised(f"raised {str(heard['raised'])[:40]}")
        return heard

    def stand_in(self, name):
        """A function that has the program's function of that name called, and returns what that returns."""
        def call(*args, **kwargs):
            send(self.calls, {"call": name, "args": pack(args), "kwargs": pack(kwargs)})
            return unpack(self.hear()["value"])
        return call


def run(job, worker, found):
    """Run all tests; `found["passed"]` counts those that went through."""
    there = worker.hear()["names"]
    missing = [name for name in job["names"] if name not in there]
    if missing:
        raise Raised(f"doesn't define {missing[0]}")
    world = {name: worker.stand_in(name) for name in job["names"]}
    exec(job["setup"], world)
    for test in job["tests"]:  # each with the program's names as they were: a test may have changed them
        exec(compile(test, "test", "exec"), world | {name: worker.stand_in(name) for name in job["names"]})
        found["passed"] += 1
    found["label"] = "correct"


def main(results, calls, telling):
    with os.fdopen(0, encoding="utf-8", errors="surrogatepass") as file:
        job = json.load(file)
    worker = Worker(results, calls)
    os.write(telling, b"ready\n")  # whatever comes now, this place works
    found = {"label": "incorrect", "passed": 0, "why": "", "said": ""}
    try:
        run(job, worker, found)
    except AssertionError as error:
        found |= {"why": "fails a test", "said": str(error)[:5000]}
    except Raised as error:
        found["why"] = str(error)
    except (Unsupported, AttributeError) as error:
        found |= {"label": "unparsed", "why": f"can't be tested from outside ({type(error).__name__}: {error})"}
    except (BrokenPipeError, json.JSONDecodeError, RecursionError, MemoryError, UnicodeDecodeError):
        found["why"] = "broke the talk with the tests"
    except BaseException as error:
        found["why"] = f"gives a test {type(error).__name__}"
    send(telling, found)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
