"""A model as a folder to pass on (its weights, its card, a sheet of its maps), and that folder's way to the Hub."""

from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from payattention.errors import UsageError
from payattention.explaining.specimens import specimen_sheet, specimens
from payattention.figures.model_card.card import Sheet, card
from payattention.figures.model_card.licence import FILE, Licence
from payattention.models import Classifier
from payattention.system.files import at_home, write_picture, write_text
from payattention.weights.checkpoint import save
from payattention.weights.header import CONFIG, RESULT
from payattention.weights.history import History, history_of
from payattention.weights.hub import HubName, check_logged_in, push

CARD, SHEET = "README.md", "maps.jpg"


def save_pretrained(
    model: Classifier,
    folder: str | Path,
    *,
    license: str | None = None,
    run: str | Path | None = None,
    name: str | None = None,
) -> Path:
    """Writes a model as a folder to pass on, which `payattention.load` reads as it reads a run.

    `model.safetensors` holds weights and configuration. With a licence, `README.md` is the model's card: what it is,
    data, recipe, error and command where they are known, what it is for and what it cannot do; and `maps.jpg` shows its
    maps of pictures that anyone may show.

    Args:
        model: A model that can be saved (`payattention.save`).
        folder: Where to; what was written there so before is replaced.
        license: An identifier of the Hub, such as "apache-2.0", or a file with the licence's text. Without one there is
            no card.
        run: The run folder or weights file that the model is from, which tells how it was trained; where anything lay
            on this machine is left out.
        name: USER/NAME on the Hub, for the card.

    Returns:
        The folder.

    Raises:
        UsageError: A model that cannot be saved, no such licence, a folder that holds a run, or a card that would be
            of another model, or is a file.
        CheckpointError: What the run tells cannot be understood.
    """
    folder, hub = at_home(Path(folder)), None if name is None else HubName.of(name)
    _check_place(folder)
    licence = None if license is None else Licence.of(license)
    history = None if run is None else history_of(at_home(Path(run)))
    title = folder.resolve().name if hub is None else hub.repository.rpartition("/")[2]
    if licence is None:
        if (folder / CARD).exists():
            raise UsageError(f"{folder}: a card is there, which would tell of another model; say a license again")
        save(model, folder)
        return folder
    sheet, caption = _maps(model, history)
    told = None if sheet is None else Sheet(SHEET, caption)
    text = card(model, licence, title, hub=None if hub is None else str(hub), history=history, sheet=told)
    save(model, folder)  # which is sure of the model before it writes
    if sheet is not None:
        write_picture(folder / SHEET, sheet, quality=88)
    if licence.text is not None:
        write_text(folder / FILE, licence.text)
    write_text(folder / CARD, text)
    return folder


def push_to_hub(
    model: Classifier,
    name: str,
    *,
    license: str | None = None,
    run: str | Path | None = None,
    private: bool = False,
    message: str = "Push the model",
) -> str:
    """Puts a model on the Hugging Face Hub, with its card, in one commit.

    `payattention.load("hf-hub:USER/NAME")` reads it from there.

    Args:
        model: As for `save_pretrained`, as are `license`, without which nothing is pushed, and `run`.
        name: USER/NAME, or USER/NAME@BRANCH. The repository is made if it is not there.
        license: Of the weights.
        run: What the model is from.
        private: Whether a new repository is to be seen by its owner only.
        message: Of the commit.

    Returns:
        The commit's address.

    Raises:
        UsageError: As `save_pretrained`; no licence; or a public repository where a private one was asked for.
        CheckpointError: As `save_pretrained`.
        PayAttentionError: There is no token, it does not allow this, or the Hub does not answer.
    """
    hub = HubName.of(name)
    Licence.of(license)
    check_logged_in(hub)
    with TemporaryDirectory() as place:
        folder = save_pretrained(model, Path(place, "model"), license=license, run=run, name=name)
        return push(folder, hub, private=private, message=message)


def _check_place(folder: Path) -> None:
    if folder.is_file():
        raise UsageError(f"{folder}: a file is there, and a model is passed on as a folder; name one")
    if any((folder / name).exists() for name in (CONFIG, RESULT)):
        raise UsageError(f"{folder}: a run is there; name another folder to pass its model on")


def _maps(model: Classifier, history: History | None) -> tuple[Image.Image | None, str]:
    """A picture of the model's maps, and what to say of it; none of a model that has none, or takes no colours."""
    if not model.levels or model.in_channels != 3:
        return None, ""
    shown = specimens(None if history is None else history.data)
    return specimen_sheet(model, shown), shown.origin
