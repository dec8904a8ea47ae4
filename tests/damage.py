"""Every way in which one value of a JSON document can be missing or of another kind."""

import copy
from collections.abc import Iterator
from typing import Any

OTHERS = [None, 7, True, "x", "", [], {}, [7], {"a": 7}]


def places(value: Any, place: tuple = ()) -> Iterator[tuple]:
    "The place of every value within a document, as keys and indices; of a long list the first two and the last."
    if isinstance(value, dict):
        for key in value:
            yield (*place, key)
            yield from places(value[key], (*place, key))
    elif isinstance(value, list):
        for i in sorted({*range(len(value))[:2], *range(len(value))[-1:]}):
            yield (*place, i)
            yield from places(value[i], (*place, i))


def damaged(document: Any) -> Iterator[tuple[str, Any]]:
    "Copies of a document in which one value is gone or is replaced, and what was done."
    for *way, last in places(document):
        for other in [..., *OTHERS]:
            changed = inner = copy.deepcopy(document)
            for key in way:
                inner = inner[key]
            if other is ...:
                del inner[last]
            else:
                inner[last] = other
            yield f"{'/'.join(map(str, [*way, last]))} {'gone' if other is ... else repr(other)}", changed
