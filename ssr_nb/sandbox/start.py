"""What every process here starts with: the other scripts, handed over as text, become the package that they are of.

Called as `python -c START SCRIPTS ARGUMENT...`, where SCRIPTS is JSON: {name: text}; the last of them is run. Nothing is
read from a folder. Inside the fence there is none, and outside it another program might change a file before Python
reads it.
"""
import json
import os
import sys
import types


def add_module(name, text=""):
    """Make a module from its text; with names like `sandbox.plain`, so that the scripts find each other."""
    module = sys.modules[name] = types.ModuleType(name)
    module.__package__ = "sandbox"
    exec(compile(text, f"{name}.py", "exec"), module.__dict__)
    return module


if __name__ == "__main__":
    scripts = json.loads(sys.argv.pop(1))
    run, text = scripts.popitem()
    add_module("sandbox").__path__ = []  # a package that has no folder
    for name in scripts:
        add_module(f"sandbox.{name}", scripts[name])
    os.environ.pop("MALLOC_ARENA_MAX", None)  # it was meant for the C library, which has read it
    __package__ = "sandbox"
    exec(compile(text, f"{run}.py", "exec"))
