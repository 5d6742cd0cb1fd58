"""What a recipe asks of the network: defaults for those of its options that it has."""

from payattention.models import entry, list_models
from payattention.system.names import check_known
from payattention.training.recipe import Recipe


def model_options(recipe: Recipe, name: str) -> dict[str, object]:
    """The options of network `name` that a recipe sets; those that this network lacks are left out.

    Raises:
        UsageError: An option that no network has.
    """
    asked = {**recipe.model} if recipe.dropout is None else {"dropout": recipe.dropout, **recipe.model}
    own = entry(name).options
    known = {option for other in list_models() for option in entry(other).options} | set(own)
    check_known("option of a network in the recipe's table [model]", known, *asked)
    return {option: value for option, value in asked.items() if option in own}
