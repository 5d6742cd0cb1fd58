"""What is shown, as files: the command that a bundle names makes the same maps."""

import json
import shlex
import zipfile
from pathlib import Path

import pytest

import payattention as pa
from payattention.cli.app import run
from payattention.studio.bundle import bundle_of_look, write_bundle
from payattention.studio.looking import look
from payattention.studio.uploads import picture_from
from payattention.weights.named import named
from tiny import encoded, pixels


def test_its_commands_make_the_same_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = pa.create_model("vgg_att2_concat_pc", 7, width=0.0625).eval()
    model.classes = tuple(f"a/{k}" for k in range(7))
    pa.save(model, "my model.safetensors")
    uploaded = picture_from(encoded(pixels(height=50, width=40), "PNG"), "../../a b.png")
    looked = look(pa.load("my model.safetensors"), uploaded, called="mine")
    bundle, same = (bundle_of_look(looked, named("my model.safetensors"), tmp_path / "bundles") for _ in range(2))
    assert bundle.read_bytes() == same.read_bytes()
    zipfile.ZipFile(bundle).extractall(tmp_path)
    lines = [line for line in Path("README.txt").read_text().splitlines() if line.startswith("    ")]
    assert len(lines) == len({one.method for one in looked.explanations}) > 1
    for words in map(shlex.split, lines):
        assert run([*words[words.index("maps") :], "--threads", "1"]) == 0, words
    own = [file for file in sorted(Path("maps").rglob("*.*")) if file.suffix in (".npy", ".jpg")]
    again = {file: Path("again", file.parts[1], "pictures", "picture", *file.parts[2:]) for file in own}
    assert sorted(again.values()) == sorted(
        file for file in Path("again").rglob("pictures/**/*.*") if file.suffix in (".npy", ".jpg")
    )
    for file in own:
        assert file.read_bytes() == again[file].read_bytes()
    said = json.loads(Path("classes.json").read_text())
    assert list(said["classes"]) == list(model.classes)
    assert said["picture"] == "a b.png"


def test_only_the_newest_bundles_wait_to_be_fetched(tmp_path: Path) -> None:
    made = [write_bundle(tmp_path / "bundles", "look", {"a.txt": "a"}, ["b"]) for _ in range(9)]
    assert made[-1].is_file()
    assert len([*(tmp_path / "bundles").rglob("*.zip")]) == 6
