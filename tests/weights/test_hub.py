"""Models go to the Hub and come from there as they were; what cannot be had is one line, at once."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save

import payattention as pa
from hub_server import TOKEN, Hub, hub_on_loopback, sha
from payattention.cli.app import run
from payattention.errors import CheckpointError, PayAttentionError, UsageError
from payattention.explaining.specimens import Specimens
from payattention.models import Classifier
from payattention.runs import sharing
from payattention.weights.header import WEIGHTS
from payattention.weights.hub import HubName
from payattention.weights.named import named

NAME = "someone/a-net"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_on_loopback(tmp_path / "cache", monkeypatch) as hub:
        yield hub


@pytest.fixture(autouse=True)
def _one_small_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sheets are drawn quickly; what is on them is tested where they are made."""
    shown = Specimens({"grey": Image.new("RGB", (32, 32), "grey")}, "Nobody's.")
    monkeypatch.setattr(sharing, "specimens", lambda data: shown)


@pytest.fixture
def logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))


def weights_of(model: Classifier, folder: Path) -> bytes:
    return pa.save(model, folder).read_bytes()


class TestNames:
    @pytest.mark.parametrize(
        ("text", "repository", "revision"),
        [
            ("hf-hub:user/name", "user/name", None),
            ("user/name", "user/name", None),
            ("hf-hub:a_b/c.d-e@main", "a_b/c.d-e", "main"),
            ("hf-hub:user/name@refs/pr/1", "user/name", "refs/pr/1"),
        ],
    )
    def test_what_they_say(self, text: str, repository: str, revision: str | None) -> None:
        name = HubName.of(text)
        assert (name.repository, name.revision) == (repository, revision)
        assert str(name).removeprefix("hf-hub:") == text.removeprefix("hf-hub:")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "name",
            "a/b/c",
            "/name",
            "user/",
            "user/na me",
            "user/name@",
            "../name",
            "user/a--b",
            "user/x.git",
            "ü/a",
        ],
    )
    def test_what_the_hub_would_not_take_is_refused_before_it_is_asked(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"write hf-hub:USER/NAME"):
            named(f"hf-hub:{text}")

    def test_a_file_of_that_name_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("hf-hub:user").mkdir()
        Path("hf-hub:user", "name").mkdir()
        with pytest.raises(CheckpointError, match=r"no model\.safetensors in this folder"):
            pa.load("hf-hub:user/name")

    def test_the_options_of_other_kinds_are_refused(self) -> None:
        with pytest.raises(UsageError, match="brings its own weights"):
            named("hf-hub:user/name", pretrained=True)
        with pytest.raises(UsageError, match="knows its own"):
            named("hf-hub:user/name", classes=["a", "b"])


class TestThereAndBack:
    @pytest.mark.filterwarnings("ignore:.*content=.*:DeprecationWarning")  # the client's own call, beside xet
    @pytest.mark.parametrize("upload", ["regular", "lfs"])
    def test_a_model_is_the_same(self, upload: str, hub: Hub, model: Classifier, images: torch.Tensor) -> None:
        hub.upload = upload
        model.temperature = 1.7
        commit = model.push_to_hub(NAME, license="mit")
        assert commit == f"{hub.url}/{NAME}/commit/{sha(NAME, 0)}"
        (files,) = hub.repositories[NAME]
        assert files.keys() == {"model.safetensors", "README.md", "maps.jpg"}
        assert f'pa.load("hf-hub:{NAME}")' in files["README.md"].decode()
        back = pa.load(f"hf-hub:{NAME}")
        torch.testing.assert_close(back(images), model(images), rtol=0, atol=0)
        assert (back.classes, back.temperature) == (model.classes, 1.7)
        assert [asked for asked in hub.asked if "resolve" in asked and not asked.endswith(WEIGHTS)] == []

    def test_what_was_fetched_is_there_when_the_hub_is_not(
        self, model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with hub_on_loopback(tmp_path / "cache", monkeypatch) as hub:
            hub.put(NAME, {WEIGHTS: weights_of(model, tmp_path)})
            pa.load(f"hf-hub:{NAME}")
        monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"it waits for {seconds} s"))
        assert pa.load(f"hf-hub:{NAME}").classes == model.classes
        with pytest.raises(CheckpointError, match=r"^hf-hub:someone/other: not on this.*\(no one answers there\)"):
            pa.load("hf-hub:someone/other")

    def test_an_older_commit(self, hub: Hub, model: Classifier, tmp_path: Path) -> None:
        hub.put(NAME, {WEIGHTS: weights_of(model, tmp_path)})
        first, model.classes = model.classes, ("x", "y", "z")
        hub.put(NAME, {WEIGHTS: weights_of(model, tmp_path)})
        assert pa.load(f"hf-hub:{NAME}").classes == ("x", "y", "z")
        assert pa.load(f"hf-hub:{NAME}@{sha(NAME, 0)}").classes == first
        assert Classifier.from_pretrained(NAME, revision=sha(NAME, 0)).classes == first

    def test_a_second_push_is_a_second_commit(self, hub: Hub, model: Classifier) -> None:
        model.push_to_hub(NAME, license="mit")
        model.temperature = 2.0
        model.push_to_hub(NAME, license="mit", message="Calibrate it")
        assert len(hub.repositories[NAME]) == 2
        assert Classifier.from_pretrained(NAME).temperature == 2
        other = pa.create_model(model.name, 3, 0.0625)
        other.classes = model.classes
        assert pa.warm_start(other, f"hf-hub:{NAME}").fresh == ()

    def test_a_private_one_needs_the_token(self, hub: Hub, model: Classifier, logged_out: None) -> None:
        with pytest.MonkeyPatch.context() as logged_in:
            logged_in.setenv("HF_TOKEN", TOKEN)
            model.push_to_hub(NAME, license="mit", private=True)
            assert hub.private == {NAME}
            pa.load(f"hf-hub:{NAME}")
        with pytest.raises(CheckpointError, match=r"no such model at http.*or a private one.*hf auth login"):
            pa.load(f"hf-hub:{NAME}@{sha(NAME, 0)[:7]}")

    def test_a_path_is_not_taken_for_a_name(self) -> None:
        with pytest.raises(CheckpointError, match="zzz: no such run folder or file"):
            Classifier.from_pretrained("./zzz")

    def test_a_folder(self, model: Classifier, images: torch.Tensor, tmp_path: Path) -> None:
        folder = model.save_pretrained(tmp_path / "net")
        assert [file.name for file in folder.iterdir()] == [WEIGHTS]  # no licence, no card
        for back in (pa.load(folder), Classifier.from_pretrained(folder)):
            torch.testing.assert_close(back(images), model(images), rtol=0, atol=0)


class TestErrors:
    @pytest.fixture
    def spoilt(self, hub: Hub, model: Classifier, tmp_path: Path) -> Callable[[str], None]:
        """Makes the repository as it is not to be."""
        whole = weights_of(model, tmp_path)
        files = {
            "only a pickle": {"pytorch_model.bin": b"\x80\x02"},
            "a pickle by another name": {WEIGHTS: b"\x80\x02" + bytes(100)},
            "nothing": {"README.md": b"# Soon"},
            "cut off": {WEIGHTS: whole[: len(whole) // 2]},
            "another package's": {WEIGHTS: save({"weight": torch.zeros(2)})},
            "gated": {WEIGHTS: whole},
            "whole": {WEIGHTS: whole},
        }

        def spoil(how: str) -> None:
            hub.put(NAME, files[how])
            if how == "gated":
                hub.gated.add(NAME)

        return spoil

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ("only a pickle", r"no model\.safetensors, but pytorch_model\.bin, a pickle, and pickles are never opened"),
            ("a pickle by another name", "damaged or not a safetensors file"),
            ("nothing", r"no model\.safetensors there, as payattention push writes it"),
            ("cut off", "damaged or not a safetensors file"),
            ("another package's", "no payattention configuration in its header"),
            ("gated", r"ask at http.*/someone/a-net, then log in"),
        ],
    )
    @pytest.mark.filterwarnings("error")
    def test_of_what_is_there(self, how: str, said: str, hub: Hub, spoilt: Callable[[str], None]) -> None:
        spoilt(how)
        with pytest.raises(CheckpointError, match=rf"(?s)^hf-hub:{NAME}: .*{said}") as error:
            pa.load(f"hf-hub:{NAME}")
        assert "\n" not in str(error.value)

    def test_of_what_is_not_there(self, hub: Hub, spoilt: Callable[[str], None]) -> None:
        with pytest.raises(CheckpointError, match="no such model at http"):
            pa.load("hf-hub:nobody/nothing")
        spoilt("whole")
        with pytest.raises(CheckpointError, match=r"@v9: no branch, tag or commit of that name"):
            pa.load(f"hf-hub:{NAME}@v9")

    def test_a_token_that_is_not_the_hubs(self, hub: Hub, model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_of_another")
        with pytest.raises(PayAttentionError, match=r"does not allow this .*; log in") as error:
            model.push_to_hub(NAME, license="mit")
        assert "hf_of_another" not in str(error.value)
        assert hub.repositories == {}

    def test_nothing_is_asked_without_a_token_or_a_licence(self, hub: Hub, model: Classifier, logged_out: None) -> None:
        with pytest.raises(PayAttentionError, match="pushing needs a token of the Hub that may write"):
            model.push_to_hub(NAME, license="mit")
        with pytest.raises(UsageError, match="a model card needs a licence"):
            model.push_to_hub(NAME)
        assert hub.asked == []

    def test_what_is_to_be_private_is_not_put_where_all_see_it(self, hub: Hub, model: Classifier) -> None:
        hub.put(NAME, {})
        with pytest.raises(UsageError, match="is there already, for all to see"):
            model.push_to_hub(NAME, license="mit", private=True)
        assert hub.repositories[NAME] == [{}]

    def test_a_model_that_cannot_be_saved_is_not_pushed(self, hub: Hub) -> None:
        layers = torch.nn.Conv2d(3, 8, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        wrapped = pa.wrap(torch.nn.Sequential(*layers))
        with pytest.raises(UsageError, match="cannot save"):
            wrapped.push_to_hub(NAME, license="mit")
        assert not any(asked.startswith("POST") for asked in hub.asked)


class TestVerbs:
    def test_push_and_use(
        self, hub: Hub, model: Classifier, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pa.save(model, tmp_path / "run")
        assert run(["push", str(tmp_path / "run"), NAME, "--license", "cc0-1.0", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "model": f"hf-hub:{NAME}",
            "commit": f"{hub.url}/{NAME}/commit/{sha(NAME, 0)}",
        }
        assert run(["predict", f"hf-hub:{NAME}", str(picture), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)
        assert run(["maps", f"hf-hub:{NAME}", str(picture), "--out", str(tmp_path / "maps")]) == 0
        assert (tmp_path / "maps" / "sheet.png").is_file()

    def test_only_the_folder(self, hub: Hub, model: Classifier, tmp_path: Path) -> None:
        pa.save(model, tmp_path / "run")
        out = tmp_path / "shared"
        assert run(["push", str(tmp_path / "run"), "--license", "mit", "--out", str(out)]) == 0
        assert {file.name for file in out.iterdir()} == {WEIGHTS, "README.md", "maps.jpg"}
        assert hub.asked == []
        assert pa.load(out).classes == model.classes

    @pytest.mark.parametrize("other", ["timm:resnet18", "hf-hub:other/net"])
    def test_a_model_that_is_not_ours_to_push(self, other: str, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["push", other, NAME, "--license", "mit"]) == 2
        assert "pushed from a run folder" in capsys.readouterr().err
        assert hub.asked == []

    def test_it_is_no_run(self, hub: Hub, model: Classifier, capsys: pytest.CaptureFixture[str]) -> None:
        model.push_to_hub(NAME, license="mit")
        assert run(["evaluate", f"hf-hub:{NAME}"]) == 2
        assert "name one with --data" in capsys.readouterr().err
