"""Whatever bytes names hold and whatever a terminal takes: what leaves the program is text, and it does leave."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from payattention import create_model, explain, save
from payattention.cli.app import run
from payattention.data import load_data
from payattention.data.places import path_of, text_of
from payattention.errors import DataError
from payattention.pictures.drawing import contact_sheet
from payattention.system.files import short_stem, write_json, write_text
from payattention.system.text import as_json, readable

ODD = os.fsdecode(b"\xe9")
ODD_FOLDER = os.fsdecode(b"f\xe4lder")
TRAIN = "train --model vgg_att_pc --width 0.0625 --recipe quickstart --epochs 1 --out run --data"


@given(st.binary())
def test_bytes_read_as_a_forgiving_decoder_reads_them(name: bytes) -> None:
    assert readable(name.decode("utf-8", "surrogateescape")) == name.decode("utf-8", "replace")


@given(st.text(st.characters(exclude_categories=())))
def test_all_text_can_be_written_and_good_text_stays(text: str) -> None:
    assert readable(readable(text)) == readable(text)
    readable(text).encode()
    for ascii_only in (False, True):
        written = as_json({text: [text]}, ascii_only=ascii_only)
        written.encode("ascii" if ascii_only else "utf-8")
        assert json.loads(written) == {readable(text): [readable(text)]}
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert readable(text) == text


def test_files_and_drawings_take_any_text(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": ODD})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"name": "\ufffd"}
    write_text(tmp_path / "a.csv", f"{ODD},1\n")
    assert (tmp_path / "a.csv").read_bytes() == "\ufffd,1\n".encode()
    assert short_stem(ODD) == "\ufffd"
    tile = Image.new("RGB", (8, 8))
    assert contact_sheet([[tile]], [ODD], [ODD]).tobytes() == contact_sheet([[tile]], ["\ufffd"], ["\ufffd"]).tobytes()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are Unicode")
def test_a_path_of_any_bytes_is_found_again_from_its_text(tmp_path: Path) -> None:
    for name in (ODD, "plain", "a b%20", "é"):
        path = tmp_path / name
        text_of(path).encode()
        assert path_of(text_of(path)) == path
    assert text_of(tmp_path / "plain") == str(tmp_path / "plain")
    assert path_of((tmp_path / "a b").as_uri()) == tmp_path / "a b"  # as file managers give it


def draw(folder: Path, *classes: str) -> None:
    for bright, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(5):
            pixels = np.random.default_rng(number).integers(bright * 150, bright * 150 + 60, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}{ODD}.png")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `att` is a model of two classes, and `pictures` holds one good name and one that is not UTF-8."""
    monkeypatch.chdir(tmp_path)
    model = create_model("vgg_att_pc", 2, 0.0625)
    model.classes = ("dark", "h\u2192ll")
    save(model, "att")
    Path("pictures").mkdir()
    for name in ("a", ODD):
        Image.new("RGB", (40, 40), "red").save(Path("pictures", f"{name}.png"))
    return tmp_path


linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are Unicode")


@linux
@pytest.mark.parametrize(
    "command",
    ["maps att pictures", "query att pictures/{} pictures", "figure maps att --picture pictures/{} --out f.png"],
)
def test_pictures_of_any_name(home: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = command.format(f"{ODD}.png").split(" ")
    assert run([*words, "--json"]) == 0
    capsys.readouterr().out.encode()
    assert run([*words, "--out", "again.png" if words[0] == "figure" else "again"]) == 0


@linux
def test_a_missing_name_is_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["maps", "att", f"{ODD}{ODD}.png"]) == 1
    assert capsys.readouterr().err == "payattention: \ufffd\ufffd.png: no such file\n"


@linux
def test_an_explanation_of_any_name(home: Path) -> None:
    model = create_model("vgg_att_pc", 2, 0.0625)
    result = explain(model, Path("pictures", f"{ODD}.png"))
    result.save("out")
    result._repr_html_().encode()
    result.figure().savefig("figure.png")


@linux
def test_a_run_on_a_folder_of_any_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(home / ODD_FOLDER, "dark", f"br{ODD}ght")
    assert run([*TRAIN.split(), f"folder:{ODD_FOLDER}"]) == 0
    json.loads(Path("run/config.json").read_text(encoding="utf-8"))
    monkeypatch.chdir("/")
    assert run(["evaluate", str(home / "run")]) == 0  # found again, from elsewhere
    assert run(["data", f"folder:{home / ODD_FOLDER}", "--out", str(home / "sheet.png")]) == 0
    assert run(["train", "--out", str(home / ODD)]) == 2


@linux
def test_classes_that_read_alike_are_refused(tmp_path: Path) -> None:
    draw(tmp_path / "set", os.fsdecode(b"\xe9"), os.fsdecode(b"\xe8"))
    with pytest.raises(DataError, match="2 class folders read"):
        load_data(f"folder:{tmp_path / 'set'}")


def started(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A shell's command line that calls the program `$P`."""
    program = f"'{sys.executable}' -m payattention"
    return subprocess.run(
        ["sh", "-c", command.replace("$P", program)],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
    )


@linux
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["cp1252", "C"],
)
def test_a_terminal_that_lacks_characters(home: Path, environment: dict[str, str]) -> None:
    shutil.copy("pictures/a.png", "pictures/\u2192.png")
    command = "$P maps att pictures" if "LC_ALL" in environment else "$P maps att pictures --json"
    done = started(command, **environment)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.decode("ascii", "strict")
    if "--json" not in command:
        assert "a.png" in printed
        return
    names = {picture["picture"] for picture in json.loads(printed)["pictures"]}
    assert names == {"pictures/a.png", "pictures/\u2192.png", "pictures/\ufffd.png"}


@linux
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("$P data >&-", 0),
        ("$P data --json <&- >&- 2>&-", 0),
        ("$P maps nowhere a.png 2>&-", 1),
        ("$P nowhere >&- 2>&-", 2),
    ],
)
def test_streams_that_are_closed(home: Path, command: str, status: int) -> None:
    done = started(command)
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr


@linux
def test_what_is_written_is_whole_where_output_is_closed(home: Path) -> None:
    """A file that is opened does not get the number of standard output."""
    assert started("$P maps att pictures/a.png --out maps <&- >&- 2>&-").returncode == 0
    assert json.loads(Path("maps/manifest.json").read_text(encoding="utf-8"))["sheets"] == ["sheet.png"]
