"""Fills the pages' numbers from results/: `python docs/numbers_of_the_pages.py`. A test holds them together."""

import json
from pathlib import Path
from typing import Any

from payattention.evaluation.metrics import METRICS
from payattention.evaluation.segment import TRIVIAL

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


def segment() -> str:
    result = _result("segment")
    first = result["sizes"][0]
    head = (
        f"`{result['model']['name']}` at width {result['model']['width']:g}, trained on CIFAR-10 (error "
        f"{result['error']:.1f} %), on {first['count']:,} pictures of the Oxford pets ({first['source']}; "
        f"`results/segment.json`)"
    )
    return "\n\n".join([head, *map(_segmented, result["sizes"])])


def _segmented(result: dict[str, Any]) -> str:
    """A table for one size of the pictures, and whether the combined map beats those that look at nothing."""
    columns = {
        "Jaccard, Otsu": "jaccard",
        "pooled": "pooled",
        "best threshold": "tuned",
        "average precision": "precision",
    }
    shown = {**columns, "area": "area"}
    lines = [f"| at {result['size']} px | {' | '.join(shown)} |", "|---|" + len(shown) * "---:|"]
    for kind, found in result["maps"].items():
        lines.append(f"| {kind} | " + " | ".join(f"{found[key]:.1f}" for key in shown.values()) + " |")
    ahead = {
        name: result["maps"]["combined"][key] - max(result["maps"][kind][key] for kind in TRIVIAL)
        for name, key in columns.items()
    }
    return (
        "\n".join(lines)
        + "\n\nThe combined map beside the better of the two that never saw the picture: "
        + ", ".join(f"{name} {points:+.1f}" for name, points in ahead.items())
        + ". Multiplied with the Gaussian, it has a Jaccard index of {jaccard:.1f} and an average precision of "
        "{precision:.1f}.".format(**result["times_gaussian"])
    )


def compare() -> str:
    result = _result("compare")
    origin = result["provenance"]
    return (
        f"`{origin['command']}` on {origin['device']}, in {origin['seconds']:.0f} s: {result['count']:,} test images, "
        f"deletion and insertion on {result['costly']:,} of them; the network's test error is {result['error']:.1f} %."
        f"\n\n{_comparison(result['rows'])}\n\n**{result['verdict']}**"
    )


def hard() -> str:
    soft, drawn = _result("compare"), _result("hard")
    errors = f"Test error: {soft['error']:.1f} % soft, {drawn['error']:.1f} % hard, trained alike.\n\n"
    rows = [
        {**row, "name": f"{name} {row['name']}"}
        for name, result in (("soft", soft), ("hard", drawn))
        for row in result["rows"]
        if row["kind"] == "trained"
    ]
    return errors + _comparison(rows)


def _comparison(rows: list[dict[str, Any]]) -> str:
    """Rows of a comparison as Markdown."""
    headings = ["map", "pictures", *(metric.heading for metric in METRICS.values()), "ms a picture"]
    lines = []
    for row in rows:
        scores = ["-" if row["scores"][key] is None else f"{row['scores'][key]:.1f}" for key in METRICS]
        lines.append([row["name"], f"{row['pictures']:,}", *scores, f"{row['milliseconds']:.2f}"])
    return _table(headings, lines)


def attacks() -> str:
    blocks = []
    for name, trained_on in (("quickstart", "cluttered digits"), ("cifar10", "CIFAR-10 (JPEG copy)")):
        result, pgd = _result(f"attack-{name}"), _result(f"attack-{name}-pgd")
        rates = {(row["attack"], row["eps"]): row["fooling_rate"] for row in result["attacks"]}
        rates |= {("pgd", row["eps"]): row["fooling_rate"] for row in pgd["attacks"] if row["attack"] == "pgd"}
        sizes = sorted({eps for _, eps in rates})
        rows = [[attack, *(f"{rates[attack, eps]:.1f}" for eps in sizes)] for attack in ("noise", "fgsm", "pgd")]
        blocks.append(
            f"`{result['model']['name']}` at width {result['model']['width']:g}, {trained_on}, error "
            f"{result['clean_error']:.1f} % ({result['count']:,} images, {pgd['count']} for PGD; "
            f"`results/attack-{name}.json`, `results/attack-{name}-pgd.json`)\n\n"
            + _table(["eps", *(f"{eps:g}" for eps in sizes)], rows)
        )
    return "\n\n".join(blocks)


def transfer() -> str:
    result = _result("transfer")
    rows = []
    for name, parts in result["sets"].items():
        facts = parts["trained"]
        scores = [f"{parts[key]['accuracy']:.1f} ± {parts[key]['deviation']:.1f}" for key in ("trained", "untrained")]
        rows.append([name, f"{facts['count']:,}", str(facts["classes"]), *scores])
    head = f"`{result['model']['name']}` at width {result['model']['width']:g} (`results/transfer.json`)"
    return f"{head}\n\n" + _table(["set", "images", "classes", "trained", "untrained"], rows)


DOCS = ROOT / "docs"
PAGES = {
    ROOT / "README.md": {"quickstart": quickstart, "cifar10": cifar10},
    DOCS / "data.md": {"data": data},
    DOCS / "segmentation.md": {"segment": segment},
    DOCS / "maps.md": {"compare": compare, "hard": hard},
    DOCS / "attacks.md": {"attacks": attacks},
    DOCS / "transfer.md": {"transfer": transfer},
}


def filled(page: Path) -> str:
    """A page's text with its blocks (`<!-- name -->` ... `<!-- /name -->`) filled in."""
    text = page.read_text(encoding="utf-8")
    for name, numbers in PAGES[page].items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n{numbers()}\n{end}{rest.partition(end)[2]}"
    return text


def _table(columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, all but its first column right-aligned."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return result


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")
