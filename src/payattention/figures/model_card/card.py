"""A model card, as the Hub shows it: a head of metadata in YAML, then a page in Markdown."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payattention import __version__
from payattention.figures.model_card.licence import Licence
from payattention.figures.self_contained import environment
from payattention.models import Classifier
from payattention.system.text import readable
from payattention.weights.history import History

TAGS = ("attention", "explainable-ai", "interpretability", "saliency")
_TASK = "image-classification"


@dataclass(frozen=True)
class Sheet:
    """A picture of the model's maps.

    Attributes:
        file: Its name beside the card.
        caption: What it shows, and whose pictures these are.
    """

    file: str
    caption: str


def card(
    model: Classifier, licence: Licence, title: str, *, hub: str | None, history: History | None, sheet: Sheet | None
) -> str:
    """The text of a model's card.

    Args:
        model: The model.
        licence: Of its weights.
        title: What to call it.
        hub: Its name on the Hub, if it is to have one: hf-hub:user/name.
        history: How it was trained, if that is known.
        sheet: A picture of its maps, if there is one.
    """
    base = _base(model)
    page = environment().get_template("model_card/card.md.j2")
    return readable(
        page.render(
            metadata=_metadata(model, licence, title, history, base).to_yaml(),
            model=model,
            title=title,
            name=hub or "FOLDER",
            parameters=sum(p.numel() for p in model.parameters()),
            options=_as_json(model.config.options),
            classes=_as_json(list(model.classes)),
            licence=licence,
            history=history,
            recipe=_as_json(history.recipe) if history else "",
            base=base,
            sheet=sheet,
            version=__version__,
        )
    )


@dataclass(frozen=True)
class Base:
    """The backbone whose pre-trained weights a model began with.

    Attributes:
        name: timm's.
        hub: Where on the Hub it is, if there.
        licence: As timm tells it, if it does.
    """

    name: str
    hub: str | None = None
    licence: str | None = None


def _base(model: Classifier) -> Base | None:
    kind, _, name = model.config.name.partition(":")
    if kind != "timm" or not model.config.options.get("pretrained"):
        return None
    import timm

    cfg = timm.get_pretrained_cfg(name)
    return Base(name) if cfg is None else Base(name, cfg.hf_hub_id, cfg.license)


def _metadata(model: Classifier, licence: Licence, title: str, history: History | None, base: Base | None) -> Any:
    """The card's head: what the Hub's own client checks that it can be read."""
    from huggingface_hub import ModelCardData

    return ModelCardData(
        **licence.metadata(),  # type: ignore[arg-type]
        library_name="payattention",
        pipeline_tag=_TASK,
        tags=[_TASK, *TAGS],
        base_model=base.hub if base else None,
        metrics=["accuracy"] if history else None,
        model_name=title if history else None,
        eval_results=[_accuracy(history)] if history else None,
    )


def _accuracy(history: History) -> Any:
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type=_TASK,
        dataset_type=history.data,
        dataset_name=history.data,
        dataset_split=history.measured_on,
        metric_type="accuracy",
        metric_value=round(1 - history.error / 100, 6),
    )


def _as_json(value: Mapping[str, Any] | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False)
