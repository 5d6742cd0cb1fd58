"""The calls by which a model goes to the Hugging Face Hub and comes from there, by the names that others give them.

What they do is done in rooms above this one: they are reached as a user reaches them, by the package's public names,
when they are called.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from payattention.models.classifier import Classifier


class Shared:
    """Of every classifier of this package."""

    def save_pretrained(
        self, folder: str | Path, *, license: str | None = None, run: str | Path | None = None, name: str | None = None
    ) -> Path:
        """`payattention.save_pretrained`: this model as a folder to pass on."""
        import payattention

        return payattention.save_pretrained(self, folder, license=license, run=run, name=name)  # type: ignore[arg-type]

    def push_to_hub(
        self,
        name: str,
        *,
        license: str | None = None,
        run: str | Path | None = None,
        private: bool = False,
        message: str = "Push the model",
    ) -> str:
        """`payattention.push_to_hub`: this model to the Hub."""
        import payattention

        return payattention.push_to_hub(self, name, license=license, run=run, private=private, message=message)  # type: ignore[arg-type]

    @staticmethod
    def from_pretrained(name: str | Path, *, revision: str | None = None) -> "Classifier":
        """`payattention.load` of a folder or file, or of "user/name" on the Hub, at a branch, tag or commit."""
        import payattention

        is_path = isinstance(name, Path) or name.startswith((".", "/", "~")) or Path(name).exists()
        if not is_path and not str(name).startswith("hf-hub:"):
            name = f"hf-hub:{name}"
        return payattention.load(name if revision is None else f"{name}@{revision}")
