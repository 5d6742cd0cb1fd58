"""Fills the numbers of README.md and the pages in docs/ from results/ and from the cards of the bundled models.

Each stands in its page between `<!-- NAME -->` and `<!-- /NAME -->`, and is not to be written by hand: a test holds
pages and results together.
"""

import json
from pathlib import Path
from typing import Any

import pets
from advice import advice
from backbones import backbones
from corpus import corpus
from deploying import exported, onnx_files
from fast import fast
from frozen_maps import frozen_contest, frozen_maps
from gallery import gallery
from looking import beside, looking
from maps import compare, hard
from markdown_table import markdown_table
from measured_by import measured_by
from payattention.cli.program import run_script
from payattention.errors import DataError
from payattention.weights.bundled import bundled, card
from probe import probe
from probing import probing
from reference import modules, names, verbs
from segmentation import segment
from studio import studio

ROOT = Path(__file__).parents[2]


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


def streaming() -> str:
    result = _result("streaming")
    rates, ratio, peak = result["images_per_second"], result["of_in_memory"], result["peak_mebibytes"]
    weights = "the same weights, bit for bit" if result["same_weights"] else "other weights"
    return (
        f"On {result['provenance']['device']} (`python benchmarks/streaming.py`, `results/streaming.json`): "
        f"{result['mebibytes']:,} MiB of pictures, `{result['model']}` at width {result['width']}. A process that may "
        f"take {result['limit_mebibytes']} MiB more than its code trains {rates['from disk']['median']:.0f} images/s "
        f"from disk, {ratio['median']:.2f} times ({ratio['min']:.2f} ... {ratio['max']:.2f}) as many as one with all "
        f"pictures in memory; it took {peak['from disk']:,} MiB at most, the other one {peak['in memory']:,}. "
        f"Both have {weights}."
    )


def attacks() -> str:
    blocks = []
    for file in sorted((ROOT / "results").glob("attack-*.json"), reverse=True):
        result = json.loads(file.read_text(encoding="utf-8"))
        methods = list(dict.fromkeys(row["attack"] for row in result["attacks"]))
        sizes = list(dict.fromkeys(row["eps"] for row in result["attacks"]))
        rates = {(row["attack"], row["eps"]): row["fooling_rate"] for row in result["attacks"]}
        trained_on = result["data"] + (f" ({result['source']})" if result["source"] else "")
        head = (
            f"`{result['model']['name']}` at width {result['model']['width']:g}, {trained_on}: {result['count']:,} "
            f"test images, error {result['clean_error']:.1f} % without an attack (`results/{file.name}`)"
        )
        rows = [[method, *(f"{rates[method, eps]:.1f}" for eps in sizes)] for method in methods]
        blocks.append(f"{head}\n\n{markdown_table(['eps', *(f'{eps:g}' for eps in sizes)], rows)}")
    return "\n\n".join(blocks)


def weights() -> str:
    rows = []
    for known in map(card, bundled()):
        pets = known.measured.get("pets")
        found = ["-", "-"] if pets is None else [f"{pets[metric]:.1f}" for metric in ("jaccard", "pointing")]
        error = f"{known.trained['test']['error']:.2f}"
        rows.append([f"`{known.name}`", f"{known.size / 1e6:.2f}", error, f"{known.error:.2f}", *found])
    columns = ["model", "MB", "error, %", "in the file, %", "pets: Jaccard, %", "pointing, %"]
    return markdown_table(columns, rows)


def weights_made() -> str:
    lines = []
    for known in map(card, bundled()):
        how, counts = known.trained["provenance"], known.trained["data"]
        source = f" ({counts['source']})" if counts["source"] else ""
        lines.append(
            f"- `{known.name}`: {known.summary}. Trained on {counts['train']:,} pictures, measured on "
            f"{counts['test']:,} others{source}; {how['seconds']:,.0f} s on {how['device']}, {how['date']}. The "
            f"pictures' licence: {known.licence['pictures']}."
        )
    commands = [known.trained["provenance"]["command"] for known in map(card, bundled())]
    return "\n".join([*lines, "", measured_by(commands)])


def transfer() -> str:
    if not (ROOT / "results" / "transfer.json").is_file():
        return "Not measured yet."
    result = _result("transfer")
    rows = []
    for name, parts in result["sets"].items():
        facts = parts["trained"]
        scores = [f"{parts[key]['accuracy']:.1f} ± {parts[key]['deviation']:.1f}" for key in ("trained", "untrained")]
        rows.append([name, f"{facts['count']:,}", str(facts["classes"]), *scores])
    head = f"`{result['model']['name']}` at width {result['model']['width']:g} (`results/transfer.json`)"
    return f"{head}\n\n{markdown_table(['set', 'images', 'classes', 'trained', 'untrained'], rows)}"


def query() -> str:
    result = _result("query")
    head = (
        f"`{result['model']}` at width {result['width']:g}, recipe `{result['recipe']}`, on {result['data']}; shares "
        "in per cent (`results/query.json`)"
    )
    levels = [*result["compatibilities"]["pc"]["distance_under_a_foreign_query"]]
    rows = [
        [
            name,
            *(f"{value:.1f}" for value in (own["error"], own["pointing"]["combined"])),
            *(f"{own['distance_under_a_foreign_query'][level]:.3f}" for level in levels),
            f"{own['predictions_changed']:.1f}",
        ]
        for name, own in result["compatibilities"].items()
    ]
    columns = ["score", "test error", "combined map's peak on the digit", *(f"{level} moves by" for level in levels)]
    return f"{head}\n\n{markdown_table([*columns, 'predictions changed'], rows)}"


def kills() -> str:
    if not (ROOT / "results" / "kills.json").is_file():
        return "Not measured yet."
    result = _result("kills")
    writing = result["killed"].get("while a snapshot was written", 0)
    return (
        f"Measured (`python benchmarks/kills.py`, `results/kills.json`): {result['kills']} trainings were killed with "
        f"`kill -9` at random moments, {writing} of them while a snapshot was written, and resumed; "
        f"{result['bit_equal']} ended in the unbroken training's weights, byte for byte."
    )


def speed() -> str:
    return _speed("speed")


def speed_vnni() -> str:
    return _speed("speed-vnni")


def speed_avx2() -> str:
    return _speed("speed-avx2")


def _speed(name: str) -> str:
    file = f"results/{name}.json"
    if not (ROOT / file).is_file():
        return "Not measured yet."
    result = _result(name)
    training, inference = result["training"], result["inference"]
    outside, error = result["outside_the_network"], result["error"]
    for part in (training, inference, outside):
        if isinstance(part, str):
            return f"The run was stopped early; part of it was {part} (`{file}`)."
    note = (
        f"On {result['provenance']['device']} (`{result['provenance']['command']}`, `{file}`; a large float32 matrix "
        f"product reaches {result['matrix_peak_gflops']:.0f} GFLOP/s). Median of the rounds, minimum to maximum in "
        "brackets."
    )
    phases = {"training": training["float32"], "training in bf16": training["bf16"], "inference": inference}
    rows = [
        [what, name, _spread(part["images_per_second"][name], 1), _times(part, name)]
        for what, part in phases.items()
        if not isinstance(part, str)
        for name in part["images_per_second"]
    ]
    table = markdown_table(["float32 unless said", "network", "images/s", "times as fast"], rows, words=2)
    missing = f"bf16: {training['bf16']}. " if isinstance(training["bf16"], str) else ""
    share = (
        f"Data, augmentation, logging and the loop take {outside['percent_outside']:.1f} % of a training step of "
        f"`{outside['model']}` at width {outside['width']}, batch {outside['batch_size']}."
    )
    return "\n\n".join([note, table, f"{missing}GPU: {result['gpu']}.", share, _cost_of_int8(error)])


def neighbours() -> str:
    if not (ROOT / "results" / "neighbours.json").is_file():
        return "Not measured yet."
    result = _result("neighbours")
    counts = [count for count in next(iter(result["work"].values()))["now"]["times_slower"] if count != "0"]
    rows = []
    for kind, ways in result["work"].items():
        for way, found in ways.items():
            quiet = found["seconds"]["0"]
            beside = [f"{found['times_slower'][n]:.1f}" if n in found["times_slower"] else "-" for n in counts]
            rows.append([kind, way, f"{quiet['median']:.2f} ({quiet['min']:.2f} to {quiet['max']:.2f})", *beside])
    head = (
        f"On {result['provenance']['device']} (`{result['provenance']['command']}`, `results/neighbours.json`): "
        "seconds on the quiet machine, and how many times as long it takes beside processes that only compute."
    )
    columns = ["work", "threads", "quiet, s", *(f"beside {count}" for count in counts)]
    return f"{head}\n\n{markdown_table(columns, rows, words=2)}"


def quickstart_seeds() -> str:
    if not (ROOT / "results" / "quickstart-seeds.json").is_file():
        return "Not measured yet."
    result = _result("quickstart-seeds")
    rows = [
        [own["device"], ", ".join(f"{run['error']:.2f}" for run in own["runs"]), f"{own['mean_error']:.2f}"]
        for own in result["processors"].values()
    ]
    head = "Test error of `payattention quickstart`, %, seeds 0, 1 and 2 (`python experiments/quickstart.py --seeds`):"
    return f"{head}\n\n{markdown_table(['on', 'seeds', 'mean'], rows, words=2)}"


def winograd() -> str:
    result = _result("winograd")
    beside, ratios = result["time_beside_the_best_choices"], [row["times_as_fast"] for row in result["rows"]]
    return (
        f"Measured on {result['provenance']['device']} (`python benchmarks/winograd.py`, `results/winograd.json`): "
        f"by Winograd's algorithm, convolutions of {len(ratios)} shapes are trained {min(ratios):.1f} to "
        f"{max(ratios):.1f} times as fast. By the rule, which was fitted to such times, they take "
        f"{100 * (beside['the rule'] - 1):.0f} % longer in the mean than by the better way each; all direct, "
        f"{100 * (beside['always direct'] - 1):.0f} %; all by Winograd's algorithm, "
        f"{100 * (beside['always Winograd'] - 1):.0f} %."
    )


def _spread(spread: dict[str, float], digits: int) -> str:
    low, middle, high = (f"{spread[name]:.{digits}f}" for name in ("min", "median", "max"))
    return f"{middle} ({low} to {high})"


def _times(part: dict[str, Any], name: str) -> str:
    return _spread(part["times_as_fast"][name], 2) if name in part["times_as_fast"] else "1"


def _cost_of_int8(error: dict[str, Any] | str) -> str:
    if isinstance(error, str):
        return f"What int8 costs in error: {error}."
    moved = ", ".join(f"{name} {max(levels.values()):.4f}" for name, levels in error["distance_of_maps"].items())
    return (
        f"Test error of a trained `{error['model']}` at width {error['width']} on {error['images']:,} images of "
        f"{error['data']}: "
        + ", ".join(f"{name} {value:.2f} %" for name, value in error["error"].items())
        + f". Mean total-variation distance of the maps to float32's (0 ... 1, the level that moves most): {moved}."
    )


DOCS = ROOT / "docs"
PAGES = {
    ROOT / "README.md": {"quickstart": quickstart, "cifar10": cifar10},
    DOCS / "attacks.md": {"attacks": attacks},
    DOCS / "attentive-probing.md": {"probing": probing},
    DOCS / "backbone-training.md": {
        "frozen_maps": frozen_maps,
        "frozen_contest": frozen_contest,
        "advice": advice,
    },
    DOCS / "backbones.md": {"backbones": backbones},
    DOCS / "command-line.md": {"verbs": verbs},
    DOCS / "corpus.md": {"corpus": corpus},
    DOCS / "data.md": {"data": data, "streaming": streaming},
    DOCS / "deploying.md": {"exported": exported},
    DOCS / "gallery.md": {"gallery": gallery},
    DOCS / "maps.md": {"compare": compare, "hard": hard},
    DOCS / "other-libraries.md": {"beside": beside},
    DOCS / "models.md": {"fast": fast},
    DOCS / "pets.md": {"pets_segmented": pets.segmented, "pets_compared": pets.compared},
    DOCS / "probe.md": {"probe": probe},
    DOCS / "python.md": {"names": names, "modules": modules},
    DOCS / "resuming.md": {"kills": kills},
    DOCS / "segmentation.md": {"segment": segment},
    DOCS / "machine.md": {"neighbours": neighbours, "quickstart_seeds": quickstart_seeds},
    DOCS / "speed.md": {
        "looking": looking,
        "onnx_files": onnx_files,
        "speed_vnni": speed_vnni,
        "speed": speed,
        "speed_avx2": speed_avx2,
        "winograd": winograd,
    },
    DOCS / "studio.md": {"studio": studio},
    DOCS / "the-query.md": {"query": query},
    DOCS / "transfer.md": {"transfer": transfer},
    DOCS / "weights.md": {"weights": weights, "weights_made": weights_made},
}


def filled(page: Path) -> str:
    """A page's text with its blocks (`<!-- name -->` ... `<!-- /name -->`) filled in."""
    text = page.read_text(encoding="utf-8")
    for name, numbers in PAGES[page].items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start not in text or end not in text:
            raise DataError(f"{page.relative_to(ROOT)}: no place for {name}, {start} ... {end}")
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n{numbers()}\n{end}{rest.partition(end)[2]}"
    return text


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return result


def main() -> None:
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")


if __name__ == "__main__":
    run_script(main)
