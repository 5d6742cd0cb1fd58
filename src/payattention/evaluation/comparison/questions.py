"""Which map for which question: what each question is answered by, and which rows answer it best."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from payattention.evaluation.comparison.intervals import LEAST
from payattention.evaluation.comparison.scoring import Scores
from payattention.evaluation.comparison.verdict import Margin, margin
from payattention.evaluation.metrics import FURTHER, METRICS

COLUMNS = {**METRICS, **FURTHER}


class Question(NamedTuple):
    """What somebody wants to know of a map.

    Attributes:
        words: The question.
        metrics: What answers it, the first one first: what each asks of a map, by its name in `COLUMNS`.
        limits: What the answer does not tell.
    """

    words: str
    metrics: Mapping[str, str]
    limits: str


QUESTIONS = (
    Question(
        "Where is the object?",
        {
            "average_precision": "Are the map's high pixels the object's?",
            "jaccard": "Is what lies above the map's own threshold the object's outline?",
            "pointing": "Does the peak fall on the object?",
        },
        "A map that answers this well need not say why the network decided as it did.",
    ),
    Question(
        "What does the answer depend on?",
        {
            "deletion": "Is the class gone as soon as the map's first pixels are taken away?",
            "insertion": "Is the class there as soon as the map's first pixels are shown?",
            "road": "Is the class gone sooner with the map's first pixels than with its last ones, if their places are "
            "filled in from around them?",
        },
        "It is asked of pictures with pixels taken away, which the network never saw. The object plays no part: a "
        "network that decides by the background is shown to.",
    ),
)


@dataclass(frozen=True)
class Answer:
    """Which map answers a question best, by one metric.

    Attributes:
        question: `Question.words`.
        metric: A name of `COLUMNS`.
        best: The row with the best mean of those measured on the most pictures.
        pictures: How many these are.
        as_good: Rows that are not told from it, on the pictures that both were measured on; the nearest first.
        unknown: Rows that too few pictures were measured of to be told from it.
        better: Rows that lie above it on the fewer pictures that they were measured on.
    """

    question: str
    metric: str
    best: str
    pictures: int
    as_good: tuple[str, ...]
    unknown: tuple[str, ...]
    better: tuple[str, ...]

    @property
    def told(self) -> bool:
        """Whether there are pictures enough to prefer one map to another."""
        return self.pictures >= LEAST


def in_words(found: Sequence[Answer]) -> Iterator[str]:
    """A line for each question."""
    for question in QUESTIONS:
        said = (_in_words(answer) for answer in found if answer.question == question.words)
        yield f"{question.words} By {'; by '.join(said)}."


def _in_words(answer: Answer) -> str:
    title = COLUMNS[answer.metric].title
    if not answer.told:
        return f"{title}: too few pictures ({answer.pictures}) to tell"
    others = f" (not told from it: {len(answer.as_good)} more)" if answer.as_good else ""
    return f"{title}: {answer.best}{others}"


def answers(rows: Sequence[Scores], further: Sequence[str] = ()) -> tuple[Answer, ...]:
    """The best maps by question and metric, further ones of `FURTHER` only where they were measured."""
    measured = {*METRICS, *further}
    return tuple(
        _answer(rows, question.words, metric)
        for question in QUESTIONS
        for metric in question.metrics
        if metric in measured
    )


def _answer(rows: Sequence[Scores], question: str, metric: str) -> Answer:
    sign = -1 if COLUMNS[metric].better == "lower" else 1
    scores = {row.name: sign * row.of(metric) for row in rows}
    counts = {name: int((~values.isnan()).sum()) for name, values in scores.items()}
    most = max(counts.values())
    best = max((name for name in scores if counts[name] == most), key=lambda name: scores[name].nanmean().item())
    found = {name: margin(scores[best], values) for name, values in scores.items() if name != best}
    near = sorted(((name, own) for name, own in found.items() if own is not None), key=lambda item: item[1].points)
    return Answer(
        question=question,
        metric=metric,
        best=best,
        pictures=most,
        as_good=_of(near, "not told from"),
        unknown=_of(near, "too few"),
        better=_of(near, "below"),
    )


def _of(near: Sequence[tuple[str, Margin]], standing: str) -> tuple[str, ...]:
    return tuple(name for name, own in near if own.standing == standing)
