"""Another picture asks: a model's maps of one picture before and after, for the page."""

from dataclasses import dataclass
from typing import Any

from PIL import Image

from payattention.evaluation.query import Answer, ask, is_blind
from payattention.explaining.levels import in_words
from payattention.figures.gallery.record import packed, shrunk
from payattention.figures.query import deepest, shown_level
from payattention.figures.self_contained import data_uri
from payattention.models import Classifier
from payattention.studio.looking import SIDE
from payattention.studio.uploads import Uploaded
from payattention.weights.bundled import bundled

_TRAIN = (
    "payattention train --model timm:tf_efficientnet_lite0 --pretrained --freeze --set compatibility=additive "
    "--set scaled=false --data folder:PICTURES"
)


@dataclass(frozen=True)
class Asked:
    """A target picture under its own and under another picture's query.

    Attributes:
        model: As the page calls it.
        query: The picture that asks.
        target: The picture that answers.
        name: What the target is called.
        answer: Its maps, and how far they moved.
        level: The level that is shown at first.
        blind: Why no query can change anything, in a sentence; "" where one can.
    """

    model: str
    query: Image.Image
    target: Image.Image
    name: str
    answer: Answer
    level: str
    blind: str

    def as_page(self) -> dict[str, Any]:
        """What the page draws from, to be written as JSON."""
        query, target = shrunk(self.query, SIDE // 2), shrunk(self.target, SIDE)
        words = in_words(self.answer.own)
        return {
            "kind": "query",
            "model": self.model,
            "name": self.name,
            "width": target.width,
            "height": target.height,
            "picture": data_uri(target),
            "query": {"width": query.width, "height": query.height, "picture": data_uri(query)},
            "label": self.answer.label,
            "asked_label": self.answer.asked_label,
            "blind": self.blind,
            "first": self.level,
            "levels": {level: {"title": words[level], **_level(self.answer, level)} for level in self.answer.own},
        }


@dataclass(frozen=True)
class Blind:
    """A model that cannot be asked.

    Attributes:
        model: As the page calls it.
        why: In a sentence.
    """

    model: str
    why: str

    def as_page(self) -> dict[str, Any]:
        """What the page shows, to be written as JSON."""
        return {"kind": "query", "model": self.model, "blind": self.why}


def ask_of_one(model: Classifier, query: Uploaded, target: Uploaded, called: str = "") -> Asked | Blind:
    """Asks a model, if it can be asked."""
    if not model.query_dim:
        return Blind(called or model.name, why_blind(model))
    answer = ask(model, query.picture, target.picture)
    return Asked(
        model=called or model.name,
        query=query.picture,
        target=target.picture,
        name=target.name,
        answer=answer,
        level=shown_level([model]),
        blind=why_blind(model),
    )


def why_blind(model: Classifier) -> str:
    """Why no query can move a model's maps, in a sentence; "" where one can."""
    pruned = hasattr(model, "config") and model.config.pruned
    if not (model.query_dim or pruned):
        return f"This network asks no query: nothing in it takes one; {_cure()}"
    if not pruned and not is_blind(model):
        return ""
    return (
        "This model cannot see a query: it adds the query's part to the score of every place alike, and softmax takes "
        f"away what is alike everywhere, so that its maps stay as they are; {_cure()}"
    )


def _cure() -> str:
    """Which model that comes with the package can be asked, if any, and how one is trained."""
    there = bundled("*additive*")
    choose = f"choose {there[0]}, which can, or train one: " if there else "train one that can: "
    return f"{choose}{_TRAIN}"


def _level(answer: Answer, level: str) -> dict[str, Any]:
    """Both maps in one range, so that equal colours are equal values, and the change from -most to most."""
    own, asked, change = answer.own[level], answer.asked[level], answer.change[level]
    brightest, most = float(max(own.max(), asked.max())), deepest(change)
    return {
        "own": packed(own, (0.0, brightest)),
        "asked": packed(asked, (0.0, brightest)),
        "change": packed(change, (-most, most)),
        "most": most,
        "moved": round(answer.distance[level], 6),
    }
