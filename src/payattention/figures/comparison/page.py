"""The page of a comparison: which map for which question, on one model and one data set, with the evidence."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from payattention import __version__
from payattention.data import ImageSet
from payattention.evaluation.comparison.questions import COLUMNS, QUESTIONS, Answer, Question
from payattention.evaluation.comparison.randomisation import FOLLOWS, LIMITS, Randomised
from payattention.evaluation.comparison.sources import COMBINED
from payattention.evaluation.comparison.table import Comparison, Row
from payattention.evaluation.comparison.verdict import Margin
from payattention.evaluation.metrics import FURTHER, METRICS
from payattention.figures.comparison.sheet import Seen, map_sheet
from payattention.figures.self_contained import data_uri, environment, policy, source
from payattention.models import Classifier
from payattention.system.files import check_new_file, write_picture, write_text
from payattention.system.text import readable

SUFFIXES = (".html", ".htm", ".md")
_PICTURES, _MAPS, _LISTED = 4, 6, 5


@dataclass(frozen=True)
class Finding:
    """What a metric says to a question.

    Attributes:
        asks: What the metric asks of a map.
        title: The metric's.
        answer: The best map.
        value: Its mean, with the interval.
        others: What stands beside it, in words: maps as good as it, better on fewer pictures, or on too few of them;
            and whether it is any better than a map that looks at nothing.
    """

    asks: str
    title: str
    answer: Answer
    value: str
    others: Sequence[str]


@dataclass(frozen=True)
class Bar:
    """A margin as it is drawn, from -100 to 100 of the widest one's reach."""

    name: str
    margin: Margin
    low: float
    high: float
    middle: float


def write_page(path: Path, model: Classifier, data: ImageSet, compared: Comparison) -> Path:
    """Writes a comparison as a page.

    Args:
        path: A new file: .html, which holds all that it shows, or .md, which shows a sheet of maps beside it, .png.
        model: The model that was measured.
        data: The data set that it was measured on.
        compared: The comparison.

    Raises:
        UsageError: A file that is there already, or of another kind.
    """
    check_new_page(path)
    templates = environment()
    told = {
        "compared": compared,
        "metrics": {**METRICS, **{name: FURTHER[name] for name in compared.further}},
        "version": __version__,
        "findings": [(question, findings(compared, question)) for question in QUESTIONS],
        "followed": followed(compared.randomisation),
        "limits": LIMITS,
        "best": {answer.metric: answer.best for answer in compared.answers if answer.told},
    }
    if path.suffix.lower() == ".md":
        sheet = path.with_suffix(".png")
        write_picture(sheet, map_sheet(model, data, compared, _PICTURES))
        page = templates.get_template("comparison/page.md.j2").render(**told, sheet=sheet.name)
    else:
        look = source(templates, "colours.css", "house.css", "comparison/page.css")
        page = templates.get_template("comparison/page.html.j2").render(
            **told,
            policy=policy(look),
            style=look,
            pictures=_pictures(model, data, compared),
            kinds={kind: [row for row in compared.rows if row.kind == kind] for kind in _kinds(compared)},
            bars={METRICS[metric].title: bars(rows) for metric, rows in compared.margins.items() if rows},
        )
    write_text(path, readable(page))
    return path


def check_new_page(path: Path) -> None:
    """Raises UsageError for a page, or a sheet beside it, that is there already, or one of another kind."""
    check_new_file(path, *SUFFIXES)
    if path.suffix.lower() == ".md":
        check_new_file(path.with_suffix(".png"))


def findings(compared: Comparison, question: Question) -> list[Finding]:
    """What each metric says to a question."""
    rows = {row.name: row for row in compared.rows}
    return [
        Finding(
            asks=question.metrics[answer.metric],
            title=COLUMNS[answer.metric].title,
            answer=answer,
            value=_value(rows[answer.best], answer.metric),
            others=_others(answer, {row.name for row in compared.rows if row.kind == "trivial"}),
        )
        for answer in compared.answers
        if answer.question == question.words
    ]


def _kinds(compared: Comparison) -> list[str]:
    """In the table's order."""
    return list(dict.fromkeys(row.kind for row in compared.rows))


def _value(row: Row, metric: str) -> str:
    found = row.intervals[metric]
    return f"{row.scores[metric]:.1f} %" + ("" if found is None else f" ({found.low:.1f} to {found.high:.1f})")


def _others(answer: Answer, trivial: Set[str]) -> list[str]:
    if not answer.told:
        return []
    if answer.best in trivial:
        return ["It looks at nothing, and no other map here is better: none answers the question."]
    words = {
        "It is not told from what looks at nothing: ": [name for name in answer.as_good if name in trivial],
        "Better where they were measured: ": answer.better,
        "Not told from it: ": [name for name in answer.as_good if name not in trivial],
        "On too few pictures to be told from it: ": answer.unknown,
    }
    return [said + _listed(names) for said, names in words.items() if names]


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Followed:
    """What stays of maps when something else is drawn at random: rank correlations, the least first.

    Attributes:
        asks: What was drawn.
        least: The maps of which least stays, with how much.
        most: Those of which most stays, unless they are named already.
    """

    asks: str
    least: str
    most: str


def followed(rows: Sequence[Randomised]) -> list[Followed]:
    """What the second table says in short."""
    found = []
    for drawn, asks in FOLLOWS.items():
        known = [(abs(value), row.name) for row in rows if (value := row.correlations.get(drawn)) is not None]
        named = [f"{name} {value:.2f}" for value, name in sorted(known)]
        if named:
            found.append(Followed(asks, ", ".join(named[:_LISTED]), ", ".join(named[_LISTED:][-_LISTED:])))
    return found


def bars(rows: Mapping[str, Margin]) -> list[Bar]:
    """Margins to be drawn beside each other."""
    reach = max(abs(value) for own in rows.values() for value in (own.points, own.low or 0, own.high or 0)) or 1
    return [
        Bar(
            name,
            own,
            *(round(100 * (own.points if value is None else value) / reach, 1) for value in (own.low, own.high)),
            middle=round(100 * own.points / reach, 1),
        )
        for name, own in rows.items()
    ]


def _pictures(model: Classifier, data: ImageSet, compared: Comparison) -> list[dict[str, Any]]:
    """A few pictures, and over them the trained combined map and those that answer a question best."""
    rows = [row.name for row in compared.rows if row.name == COMBINED and row.kind == "trained"]
    chosen = [*dict.fromkeys([*rows, *(answer.best for answer in compared.answers if answer.told)])][:_MAPS]
    seen = Seen.of(model, data, compared, _PICTURES, chosen)
    return [
        {
            "label": label,
            "panels": {
                "picture": data_uri(seen.pictures[k]),
                "object": data_uri(seen.objects[k]),
                **{name: data_uri(maps[k]) for name, maps in seen.maps.items()},
            },
        }
        for k, label in enumerate(seen.labels)
    ]
