"""Several models look at the same pictures: their maps (paper, figures 3, 4 and 7) and their masks (figure 8).

The paper's figure 3 sets trained maps beside activation-based ones: where are a layer's features strong?
"""

from collections.abc import Callable, Mapping

from PIL import Image

from payattention.attention.maps import drawable
from payattention.explaining.explain import explain_picture
from payattention.explaining.explanation import Explanation
from payattention.explaining.inputs import as_input, check_can_explain
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.pictures.drawing import contact_sheet, cut_out, overlay
from payattention.posthoc.cam import activation
from payattention.system.machine import device_of


def maps_figure(
    models: Mapping[str, Classifier],
    pictures: Mapping[str, Image.Image],
    *,
    size: int | None = None,
    scale: str = "own",
) -> Image.Image:
    """A sheet: a row for each picture; for each model a column for each of its levels.

    Args:
        models: By the name to call them.
        pictures: By the name to call them, RGB; at least one.
        size: Shorter side of the pictures as the models see them, in pixels; by default that of their training.
        scale: How maps become colours (`payattention.pictures.drawing.SCALES`).

    Raises:
        UsageError: A model without maps, or a size that it cannot take.
    """
    return _sheet(models, pictures, size, _heatmaps, scale)


def activations_figure(
    models: Mapping[str, Classifier], pictures: Mapping[str, Image.Image], *, size: int | None = None
) -> Image.Image:
    """A sheet like `maps_figure`'s, with each level's activation-based map (`payattention.posthoc`) beside the trained.

    Arguments and errors are those of `maps_figure`.
    """
    return _sheet(models, pictures, size, _beside_activations)


def masks_figure(
    models: Mapping[str, Classifier], pictures: Mapping[str, Image.Image], *, size: int | None = None
) -> Image.Image:
    """A sheet: a row for each picture; for each model its combined map, and what lies above that map's Otsu threshold.

    Arguments and errors are those of `maps_figure`.
    """
    return _sheet(models, pictures, size, _map_and_object)


def _heatmaps(seen: Explanation, model: Classifier, size: int | None) -> dict[str, Image.Image]:
    return {level: seen.overlay(level, "heat") for level in seen.maps}


def _beside_activations(seen: Explanation, model: Classifier, size: int | None) -> dict[str, Image.Image]:
    with evaluating(model, device_of(model)) as device:
        images = as_input(model, seen.picture, size).to(device)
        strengths = activation(model, images)
    own, row = (seen.picture.height, seen.picture.width), {}
    for level, strength in strengths.items():
        heat = drawable(strength.float().cpu(), own)[0].numpy()
        row[level] = seen.overlay(level, "heat")
        row[f"activation {level}"] = overlay(seen.picture, heat)
    return row


def _map_and_object(seen: Explanation, model: Classifier, size: int | None) -> dict[str, Image.Image]:
    return {"combined": seen.overlay(style="heat"), "mask": cut_out(seen.picture, seen.mask)}


def _sheet(
    models: Mapping[str, Classifier],
    pictures: Mapping[str, Image.Image],
    size: int | None,
    panels: Callable[[Explanation, Classifier, int | None], dict[str, Image.Image]],
    scale: str = "own",
) -> Image.Image:
    for model in models.values():
        check_can_explain(model, size)
    rows, labels = [], []
    for name, picture in pictures.items():
        row, said = {"picture": picture}, []
        for model_name, model in models.items():
            seen = explain_picture(model, picture, name, size=size, scale=scale)
            prefix = f"{model_name}: " if len(models) > 1 else ""
            row |= {f"{prefix}{panel}": image for panel, image in panels(seen, model, size).items()}
            said.append(f"{model_name}: {seen.caption}")
        rows.append(list(row.values()))
        labels.append(f"{name}  {', '.join(said)}")
    return contact_sheet(rows, list(row), labels)
