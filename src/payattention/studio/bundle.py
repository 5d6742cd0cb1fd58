"""All that is shown of a picture as one .zip file: maps, overlays, JSON, and the command line that makes the same.

What needs PyTorch is imported with the first picture: the page is there before.
"""

import shlex
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from payattention import __version__
from payattention.explaining.output_form import OutputForm
from payattention.system.files import replacing, write_array, write_json, write_picture, write_text
from payattention.system.invocation import program
from payattention.weights.named import Borrowed, NamedModel

if TYPE_CHECKING:
    from payattention.explaining.explanation import Explanation
    from payattention.studio.asking import Asked
    from payattention.studio.attacking import UnderAttack
    from payattention.studio.looking import Looked

Content: TypeAlias = "Explanation | Image.Image | NDArray[np.float32] | Mapping[str, object] | str"
"""What a file, or for an explanation several, is made of."""
_FORM = OutputForm(frozenset({"overlays", "raw"}), format="jpg")
_SAME = "The same on the command line, in this folder"
_KEPT = 6  # bundles that wait to be fetched
_DATE = (1980, 1, 1, 0, 0, 0)  # of every file in a bundle: the same is the same, byte by byte
_PACKED = {".jpg", ".png"}


def bundle_of_look(looked: "Looked", model: NamedModel, folder: Path) -> Path:
    """What is shown of where a model looks.

    Args:
        looked: What was computed.
        model: By which model.
        folder: Where bundles lie until they are fetched; the oldest go.
    """
    from payattention.explaining.folder import stems_of

    contents: dict[str, Content] = {"picture.png": looked.first.picture}
    commands = []
    for method, group in groupby(looked.explanations, key=lambda one: one.method):
        own = {one.target or "": one for one in group}
        contents |= {f"maps/{method}/{stems_of(own)[target]}": one for target, one in own.items()}
        target = ["--target", "all"] if len(own) > 1 else []
        words = ["maps", *words_of(model), "picture.png", "--method", method, *target]
        commands.append(_command(*words, "--only", "overlays,raw", "--format", "jpg", "--out", f"again/{method}"))
    contents["classes.json"] = {
        "model": looked.model,
        "picture": looked.first.name,
        "size in its file": {"width": looked.size[0], "height": looked.size[1]},
        "classes": dict(zip(looked.first.classes, map(float, looked.first.probabilities), strict=True)),
    }
    return write_bundle(folder, "look", contents, commands)


def bundle_of_question(asked: "Asked", model: NamedModel, folder: Path) -> Path:
    """What is shown of a query; arguments as for `bundle_of_look`."""
    answer = asked.answer
    contents: dict[str, Content] = {"query.png": asked.query, "picture.png": asked.target}
    for level in answer.own:
        kinds = {"own": answer.own[level], "asked": answer.asked[level], "change": answer.change[level]}
        contents |= {f"maps/{level}.{kind}.npy": values for kind, values in kinds.items()}
    contents["query.json"] = {
        "model": asked.model,
        "picture": asked.name,
        "label": answer.label,
        "label when asked": answer.asked_label,
        "total variation": dict(answer.distance),
        "blind": asked.blind,
    }
    command = _command("query", *words_of(model), "query.png", "picture.png", "--out", "again")
    return write_bundle(folder, "query", contents, [command])


def bundle_of_attack(under: "UnderAttack", model: NamedModel, folder: Path) -> Path:
    """What is shown of an attack; arguments as for `bundle_of_look`."""
    contents: dict[str, Content] = {}
    for number, (stem, seen) in enumerate(zip(("clean", "attacked", "noise"), under.versions, strict=True)):
        contents[f"{stem}.png"], contents[f"{stem}.npy"] = seen.picture, seen.image.numpy()
        contents |= {f"maps/{stem}.{level}.npy": values for level, values in seen.maps.items()}
        if number:
            contents[f"{stem}.change.png"] = under.change(number)
    contents["attack.json"] = {
        "model": under.model,
        "picture": under.name,
        "eps of 255": under.how.eps,
        "attack": under.how.method,
        "towards": under.how.towards,
        "seed": under.how.seed,
        "said": under.said,
        "classes": [dict(seen.top) for seen in under.versions],
    }
    words = ("attack", *words_of(model), "--data", "folder:PICTURES", "--attacks", f"noise,{under.how.method}")
    command = _command(*words, "--eps", f"{under.how.eps:g}", "--out", "again")
    return write_bundle(folder, "attack", contents, [command], "The same attack on a folder of pictures, measured")


def write_bundle(
    folder: Path, stem: str, contents: Mapping[str, Content], commands: Sequence[str], about: str = _SAME
) -> Path:
    """Writes a .zip file, whole or not at all.

    Args:
        folder: Where bundles lie until they are fetched: of more than a few, the oldest go.
        stem: What the file is called.
        contents: By the file's name in the archive; of an explanation, what its files' names begin with.
        commands: Command lines to go on with, run in the unpacked archive.
        about: What they do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.iterdir(), key=lambda own: own.stat().st_mtime)[: -(_KEPT - 1)]:
        shutil.rmtree(old, ignore_errors=True)
    path = Path(tempfile.mkdtemp(dir=folder), f"{stem}.zip")
    with tempfile.TemporaryDirectory() as place:
        for name, content in contents.items():
            _write(Path(place), name, content)
        write_text(Path(place, "README.txt"), _read_me(commands, about))
        with replacing(path) as partial:
            pack(partial, Path(place))
    return path


def pack(path: Path, folder: Path, under: str = "") -> None:
    """Writes all files of a folder as a .zip file, their names from the folder, below a folder that it may name."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            entry = zipfile.ZipInfo(str(Path(under, file.relative_to(folder)).as_posix()), _DATE)
            entry.compress_type = zipfile.ZIP_STORED if file.suffix in _PACKED else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with file.open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)


def pack_run(run: Path, folder: Path) -> Path:
    """A run folder as a .zip file, which is made once: the weights, what was asked for, and what came out."""
    path = folder / f"{run.name}.zip"
    if not path.is_file():
        with replacing(path) as partial:
            pack(partial, run, run.name)
    return path


def words_of(model: NamedModel) -> list[str]:
    """A model as it is named on the command line."""
    if not isinstance(model, Borrowed):
        return [model.text]
    pretrained = ["--pretrained"] if model.pretrained else []
    return [model.text, *pretrained, *([] if model.weights is None else ["--weights", str(model.weights)])]


def _write(place: Path, name: str, content: Content) -> None:
    from payattention.explaining.explanation import Explanation

    if isinstance(content, Explanation):
        content.write(place, name, _FORM)
    elif isinstance(content, Image.Image):
        write_picture(place / name, content)
    elif isinstance(content, np.ndarray):
        write_array(place / name, content)
    elif isinstance(content, str):
        write_text(place / name, content)
    else:
        write_json(place / name, content)


def _read_me(commands: Sequence[str], about: str) -> str:
    lines = "\n".join(f"    {command}" for command in commands)
    return (
        f"Made by the studio of payattention {__version__}. Arrays (.npy) are the maps as the model or the method\n"
        "gives them, on their own grids; overlays (.jpg) and masks have the picture's size; numbers stand in .json\n"
        "files.\n"
        f"\n{about}:\n\n{lines}\n"
    )


def _command(*words: str) -> str:
    return f"{program()} {shlex.join(words)}"
