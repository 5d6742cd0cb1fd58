"""The licence under which a model is passed on: one that the Hub knows by an identifier, or a text of one's own."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from payattention.errors import UsageError
from payattention.system.files import at_home

FILE = "LICENSE"
_LEAST, _MOST = 20, 1_000_000  # characters of a licence's text


def known() -> tuple[str, ...]:
    """The identifiers that the Hub takes (huggingface.co/docs/hub/repositories-licenses), but for "unknown"."""
    return tuple(Path(__file__).with_name("licences.txt").read_text(encoding="utf-8").split())


@dataclass(frozen=True)
class Licence:
    """A licence.

    Attributes:
        identifier: By which the Hub knows it; "other" where it does not.
        name: What to call it.
        text: Of one that the Hub does not know.
    """

    identifier: str
    name: str
    text: str | None = None

    @classmethod
    def of(cls, given: str | None) -> "Licence":
        """The licence of an identifier such as "apache-2.0", or of a file that holds its text.

        Raises:
            UsageError: None was given, or what is neither.
        """
        if not given:
            raise UsageError(
                "a model card needs a licence, which only the model's maker can choose: --license (license=) "
                "apache-2.0, cc-by-4.0, ..., or a file that holds its text"
            )
        identifier, file = given.lower(), at_home(Path(given))
        if identifier in known():
            return cls(identifier, identifier)
        if not file.is_file():
            near = get_close_matches(identifier, known(), n=1, cutoff=0.6)  # no guess where it may be another's terms
            hint = f"did you mean {near[0]!r}?" if near else "the Hub knows apache-2.0, mit, cc-by-4.0, ..."
            raise UsageError(
                f"license {given!r} is neither one that the Hub knows nor a file with a licence's text; {hint}"
            )
        return cls("other", file.stem, _text_of(file))

    def metadata(self) -> dict[str, str]:
        """What the head of a card says of it."""
        if self.text is None:
            return {"license": self.identifier}
        return {"license": self.identifier, "license_name": self.name.lower().replace(" ", "-"), "license_link": FILE}


def _text_of(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = ""
    if not _LEAST <= len(text.strip()) <= _MOST:
        raise UsageError(f"license {file}: this file holds no licence's text")
    return text
