"""What the reference's reader of source code (griffe) should know of this package: a doctest is a block of code, and
a name that is given its value beside others, as in `A, B = 1, 2`, is a name too."""

import ast
import re

import griffe

# from a prompt to the blank line or the end: what was typed, and what came out
DOCTEST = re.compile(r"^([ ]*)>>> .*(?:\n(?![ ]*$).*)*", re.M)


def fenced(text: str) -> str:
    "The docstring, each doctest in a fence of its own; as Markdown its `>>>` would be a quotation."
    return DOCTEST.sub(lambda found: f"\n```pycon\n{found[0]}\n```\n", text)


def named_together(source: str) -> dict[str, int]:
    "The names that share an assignment with others, each with its line."
    together = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Tuple)]
    return {target.id: node.lineno for node in together for target in node.targets[0].elts if isinstance(target, ast.Name)}


class Docstrings(griffe.Extension):
    def on_object(self, *, obj, loader=None, **kwargs) -> None:
        if obj.docstring and ">>>" in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)

    def on_module(self, *, mod, loader=None, **kwargs) -> None:
        if mod.filepath.is_file() and mod.package.name == "ssr_nb":
            for name, line in named_together(mod.filepath.read_text(encoding="utf-8")).items():
                if name not in mod.members:
                    mod.set_member(name, griffe.Attribute(name, lineno=line, endlineno=line, parent=mod))
