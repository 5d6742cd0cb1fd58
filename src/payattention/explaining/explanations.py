"""Several explanations: a list, or a dictionary by class, that a notebook shows as pictures."""

import html
from collections.abc import Iterable
from itertools import islice

from payattention.explaining.explanation import Explanation

_SHOWN = 24  # of many in a notebook's cell


class ByClass(dict[str, Explanation]):
    """Explanations of one picture by the class that their maps were asked for; the only key is "" where none was."""

    def _repr_html_(self) -> str:
        return _under_each_other(self.items(), len(self))


class Explanations(list[Explanation]):
    """Explanations of several pictures, in order."""

    def _repr_html_(self) -> str:
        return _under_each_other(((own.name, own) for own in self), len(self))


class AllByClass(list[ByClass]):
    """Explanations of several pictures by class, in order."""

    def _repr_html_(self) -> str:
        named = ((f"{own.name}: {name}", own) for by_class in self for name, own in by_class.items())
        return _under_each_other(named, sum(map(len, self)))


def _under_each_other(named: Iterable[tuple[str, Explanation]], count: int) -> str:
    shown = "".join(f"<p><b>{html.escape(name)}</b></p>{own._repr_html_()}" for name, own in islice(named, _SHOWN))
    return shown + (f"<p>and {count - _SHOWN:,} more</p>" if count > _SHOWN else "")
