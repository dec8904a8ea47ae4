"""The program's side: loads the program, says what it defines, and then calls what the tests ask for.

Arguments: the pipe of the calls to read from, and that of the results to write to. The program is on standard input.
The program may change anything in this process. It gains nothing: the tests are in another, and take only values.
"""
import json
import os
import sys

from .plain import pack, send, unpack


def load(program):
    """The names that a program leaves behind when it has run, and their values."""
    world = {"__name__": "answer"}
    exec(compile(program, "answer", "exec"), world)
    return world


def answer(asked, world, kept):
    """The reply to one call: what it returned, or the name of the exception that it raised."""
    try:
        result = world[asked["call"]](*unpack(asked["args"], kept), **unpack(asked["kwargs"], kept))
        return {"value": pack(result, kept)}
    except BaseException as error:
        return {"raised": type(error).__name__}


def main(calls, results):
    with os.fdopen(0, encoding="utf-8", errors="surrogatepass") as file:
        program = file.read()
    kept = []  # objects that aren't plain data stay here; the tests hold their numbers
    try:
        world = load(program)
        send(results, {"names": [name for name, value in world.items() if isinstance(name, str) and callable(value)]})
        for line in os.fdopen(calls, "rb"):
            send(results, answer(json.loads(line), world, kept))
    except BaseException as error:
        send(results, {"raised": type(error).__name__})


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
