"""A model card says what is known, nothing of where it was known, and can be read by the Hub's own client."""

from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

import payattention as pa
from payattention.data import ImageSet
from payattention.errors import UsageError
from payattention.figures.model_card.card import Sheet, card
from payattention.figures.model_card.licence import Licence, known
from payattention.models import Classifier
from payattention.runs.config import RunConfig
from payattention.runs.experiment import train_and_test
from payattention.training.recipe import load_recipe
from payattention.weights.history import History

MIT = Licence.of("mit")
HISTORY = History(
    data="folder:photos",
    counts=(320, 80),
    measured_on="test",
    error=12.5,
    recipe={"epochs": 2, "lr": 0.1},
    seed=3,
    command="payattention train --data folder:photos",
    versions={"payattention": "0.1.0", "torch": "2.15.0"},
    device="a CPU, 2 threads",
    seconds=61.4,
    date="2026-11-27",
)


def text_of(model: Classifier, licence: Licence = MIT, title: str = "a-net", **known: object) -> str:
    return card(model, licence, title, **{"hub": "hf-hub:me/a-net", "history": HISTORY, "sheet": None, **known})  # type: ignore[arg-type]


def test_its_head_is_what_the_hub_reads(model: Classifier) -> None:
    data = ModelCard(text_of(model)).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("mit", "payattention", "image-classification")
    assert {"attention", "image-classification"} <= set(data.tags)
    assert data.model_name == "a-net"
    (accuracy,) = data.eval_results
    assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", 0.875)
    assert (accuracy.dataset_name, accuracy.dataset_split) == ("folder:photos", "test")


def test_its_page_says_all_that_is_known(model: Classifier) -> None:
    text = text_of(model, sheet=Sheet("maps.jpg", "Whose pictures these are."))
    for said in (
        "(maps.jpg)\n\nWhose pictures these are.",
        'pa.load("hf-hub:me/a-net")',
        "| seed | 3 |",
        "| folder:photos, test | 80 | 12.5 % |",
        "payattention 0.1.0, torch 2.15.0",
        '{"epochs": 2, "lr": 0.1}',
        '["airplane", "automobile", "bird"]',
        "The weights: mit.",
    ):
        assert said in text, said
    assert "is not known" not in text


def test_what_is_not_known_is_not_told(model: Classifier) -> None:
    text = text_of(model, history=None)
    assert ModelCard(text).data.eval_results is None
    assert "No record of the training was given" in text
    assert "| seed |" not in text


@pytest.mark.parametrize("odd", ["a|b", "```", "<script>", "ein Ü", "- a: [b", "{{ x }}", '"'])
def test_odd_names_leave_it_whole(odd: str, model: Classifier) -> None:
    model.classes = (odd, "b", "c")
    read = ModelCard(text_of(model, title=odd, history=replace(HISTORY, data=odd)))
    assert read.data.model_name == odd
    assert read.data.eval_results[0].dataset_name == odd
    assert read.text.count("\n```") % 2 == 0


def test_the_backbone_that_it_began_with_is_named(model: Classifier) -> None:
    model.config = replace(model.config, name="timm:resnet18.a1_in1k", options={"pretrained": True})
    text = text_of(model)
    assert ModelCard(text).data.base_model == "timm/resnet18.a1_in1k"
    assert "| backbone | timm's resnet18.a1_in1k, with pre-trained weights |" in text


class TestLicence:
    @pytest.mark.parametrize("given", [None, ""])
    def test_none(self, given: str | None) -> None:
        with pytest.raises(UsageError, match=r"^a model card needs a licence.*--license"):
            Licence.of(given)

    def test_the_hubs(self) -> None:
        assert len(known()) > 50
        for identifier in known():
            assert Licence.of(identifier.upper()).metadata() == {"license": identifier}

    def test_ones_own(self, tmp_path: Path, model: Classifier) -> None:
        file = tmp_path / "Our Terms.txt"
        file.write_text("You may look at it, but not touch it.")
        licence = Licence.of(str(file))
        data = ModelCard(text_of(model, licence)).data
        assert (data.license, data.license_name, data.license_link) == ("other", "our-terms", "LICENSE")
        folder = model.save_pretrained(tmp_path / "net", license=str(file))
        assert (folder / "LICENSE").read_text() == file.read_text()
        assert "[Our Terms](LICENSE)" in (folder / "README.md").read_text()

    @pytest.mark.parametrize("given", ["aapche-2.0", "unknown", "no/such/file"])
    def test_neither(self, given: str) -> None:
        with pytest.raises(UsageError, match="neither one that the Hub knows nor a file"):
            Licence.of(given)

    def test_a_file_without_one(self, tmp_path: Path) -> None:
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
        with pytest.raises(UsageError, match="holds no licence's text"):
            Licence.of(str(tmp_path / "a.png"))


@pytest.fixture
def trained(image_set: ImageSet, tmp_path: Path) -> Path:
    """A run folder, of a set that has a place on this machine."""
    train = replace(image_set, name=f"folder:{tmp_path}/holidays")
    recipe = load_recipe("modern", {"epochs": 1, "batch_size": 16})
    config = RunConfig("vgg_att_pc", recipe, width=0.0625)
    train_and_test(config, train, replace(train, split="test"), tmp_path / "run")
    return tmp_path / "run"


def test_the_card_of_a_run(trained: Path, tmp_path: Path) -> None:
    folder = pa.load(trained).save_pretrained(tmp_path / "net", license="mit", run=trained)
    text = (folder / "README.md").read_text()
    read = ModelCard(text)
    assert "| folder:holidays, test | 32 |" in text
    assert read.data.eval_results[0].dataset_name == "folder:holidays"
    assert str(tmp_path) not in text
    with Image.open(folder / "maps.jpg") as sheet:
        assert min(sheet.size) > 200
    assert pa.load(folder).classes == ("dark", "bright")


def test_a_card_does_not_stay_beside_another_model(model: Classifier, tmp_path: Path) -> None:
    folder = model.save_pretrained(tmp_path / "net", license="mit")
    weights = (folder / "model.safetensors").read_bytes()
    model.temperature = 2.0
    with pytest.raises(UsageError, match="say a license again"):
        model.save_pretrained(folder)
    assert (folder / "model.safetensors").read_bytes() == weights
    model.save_pretrained(folder, license="apache-2.0")
    assert ModelCard.load(folder / "README.md").data.license == "apache-2.0"
    assert pa.load(folder).temperature == 2


@pytest.mark.parametrize("place", ["a run", "a file"])
def test_nothing_is_written_over(place: str, model: Classifier, tmp_path: Path) -> None:
    (tmp_path / "a run").mkdir()
    for mine in ("a file", "a run/config.json"):
        (tmp_path / mine).write_text("mine")
    with pytest.raises(UsageError, match=f"{place} is there"):
        model.save_pretrained(tmp_path / place, license="mit")
    assert [file.name for file in (tmp_path / "a run").iterdir()] == ["config.json"]
    assert (tmp_path / "a file").read_text() == "mine"
