"""The errors a user can cause. Each is one line that names the thing and what would be right."""


class PayAttentionError(Exception):
    """Something failed that the user can act on; the command line prints it and exits with 1."""

    exit_code = 1


class UsageError(PayAttentionError, ValueError):
    """A call with a wrong name, value or combination; the command line prints it and exits with 2."""

    exit_code = 2


class DataError(PayAttentionError):
    """A file or data set that cannot be read or does not hold what it should."""


class CheckpointError(PayAttentionError):
    """Saved weights that are missing, unreadable or belong to another network."""


def without_maps(model: str) -> UsageError:
    """The error for a network that has no attention maps."""
    return UsageError(f"{model} has no attention maps; take one of the attention models")


def without_query(model: str) -> UsageError:
    """The error for a network whose maps ask no query."""
    return UsageError(f"{model} has no query: only attention models have one")


def without_numbers(what: str) -> DataError:
    """The error for what a network gives that is NaN or infinite: nothing can be made of it."""
    return DataError(f"{what} are not finite: has its training diverged?")


def broken_map(model: str, level: str, picture: str) -> DataError:
    """The error for a map of a picture that no one can look at."""
    return DataError(f"{picture}: the {level} map of {model} holds NaN or infinite values")


def none_of(pictures: str, done: str, reason: str) -> DataError:
    """The error where not one of some pictures can be "read" or "asked" or whatever; the reason is one picture's."""
    return DataError(f"none of {pictures} can be {done}: {reason}")


def damaged(file: object, why: object) -> CheckpointError:
    """The error for a file that should hold weights."""
    return CheckpointError(f"{file}: damaged or not a safetensors file ({why})")


def no_such_label(where: str, label: int, classes: int) -> DataError:
    """The error for a label that is no class's number."""
    return DataError(f"{where}: label {label} is not among its {classes} classes")
