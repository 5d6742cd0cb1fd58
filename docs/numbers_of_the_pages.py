"""Fills the pages' numbers from results/: `python docs/numbers_of_the_pages.py`. A test holds them together."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def quickstart() -> str:
    result = _result("quickstart")
    hits = result["pointing"]["hits"]
    device = result["pointing"]["provenance"]["device"]
    return (
        f"on {device}, {result['seconds_of_the_whole_command']:.0f} s in all; test error {result['error']:.1f} %. "
        f"The combined map's peak falls on the digit (within {result['pointing']['tolerance']} px) in "
        f"{hits['combined']:.1f} % of {result['pointing']['count']:,} test images; the image centre does in "
        f"{hits['image centre']:.1f} %, a random point in {hits['random point']:.1f} %."
    )


def cifar10() -> str:
    result = _result("cifar10")
    model, made = result["model"], result["provenance"]
    return (
        f"CIFAR-10 (JPEG copy), `{model['name']}` at width {model['width']:g}, {result['recipe']['epochs']} epochs: "
        f"test error {result['test']['error']:.2f} % after {made['seconds']:,.0f} s in all on {made['device']}."
    )


def data() -> str:
    result = _result("data")
    cifar, photographs, loader = result["cifar100"], result["photographs"], result["torchvision_loader"]
    return (
        f"On {result['provenance']['device']} (`python benchmarks/data.py`, `results/data.json`): {cifar['images']:,} "
        f"CIFAR-100 images are decoded and cached in {cifar['decode_and_cache_seconds']:.0f} s and opened again in "
        f"{cifar['open_again_seconds']:.2f} s; feeding them costs {result['feeding']['feeding_percent_of_step']:.2f} % "
        f"of a step of `{result['feeding']['model']}` at width {result['feeding']['width']}. "
        f"{photographs['images']:,} photographs go to {photographs['size']} px at "
        f"{photographs['images_per_second']:.0f} images/s, once, in {photographs['peak_memory_mebibytes']} MiB; "
        f"torchvision's DataLoader with {loader['workers']} workers does {loader['images_per_second']:.0f} images/s, "
        "every epoch."
    )


def kills() -> str:
    result = _result("kills")
    writing = result["killed"].get("while a snapshot was written", 0)
    return (
        f"Measured (`python benchmarks/kills.py`, `results/kills.json`): {result['kills']} trainings were killed with "
        f"`kill -9` at random moments, {writing} of them while a snapshot was written, and resumed; "
        f"{result['bit_equal']} ended in the unbroken training's weights, byte for byte."
    )


PAGES = {ROOT / "README.md": {"quickstart": quickstart, "cifar10": cifar10}, ROOT / "docs" / "data.md": {"data": data}}


def filled(page: Path) -> str:
    """A page's text with its blocks (`<!-- name -->` ... `<!-- /name -->`) filled in."""
    text = page.read_text(encoding="utf-8")
    for name, numbers in PAGES[page].items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n{numbers()}\n{end}{rest.partition(end)[2]}"
    return text


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return result


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")
