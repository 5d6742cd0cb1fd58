"""Measures maps of very many pictures, for docs/corpus.md: pictures/s, memory, Ray, kills, a slow worker.

Writes results/corpus.json. The network is EfficientNet-Lite0 at 224 px with attention at its last two levels, fresh
weights; the pictures are JPEG files of 500x375 pixels, cut out of scikit-learn's two sample photographs; where many are
asked for, most are hard links.

- speed: a corpus by this process, beside the bare network's `attend` on the same pictures as tensors, decoded before:
  in batches on all threads, and a thread a batch; the faster of the two counts. A corpus is asked of the network with
  its batch norms folded, whose own pace stands beside it. In turn, round by round.
- ray: the same corpus by Ray with two workers of one thread, beside this process on two; each from its first shard on,
  since a start is paid once. In turn; shards are compared byte for byte.
- memory: `payattention maps --engine local` on 10,000 pictures in a process of its own: its resident memory after a
  tenth of them, at the end, and at most.
- kills: a small network on 2,000 pictures, 40 of which are none, by Ray with two workers: the driver is killed with
  SIGKILL at random moments and started again, two workers are killed each time; in the end the shards are compared with
  those of an unbroken run.
- tail: how much longer than ideal shards take that are handed out to workers of which one is ten times slower; on a
  pretended clock.
"""

import heapq
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from torch import Tensor

import payattention as pa
from measuring import Measurement, OutOption, RoundsOption, say
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.explaining.corpus.manifest import Written
from payattention.explaining.corpus.over_ray import OverRay, _HandOut
from payattention.explaining.corpus.plan import Shard
from payattention.explaining.corpus.questions import Asked
from payattention.explaining.corpus.sources import Corpus, Input
from payattention.explaining.corpus.writing import Engine, Work, local, write_corpus
from payattention.explaining.inputs import as_input
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.models.rewrites.fold import fold
from payattention.pictures.reading import read_picture
from payattention.speed.timing import Spread, ratios
from payattention.system.allocator import keep_freed
from payattention.system.names import check_known
from payattention.system.workers import computed_in_order
from payattention.weights.named import named

CPU = torch.device("cpu")
BACKBONE, SIZE, CLASSES = "tf_efficientnet_lite0", 224, 10
DIFFERENT, BATCH, SHARD = 200, 4, 64
HOSTILE = 40


@dataclass(frozen=True)
class Place:
    """Where everything lies, and how much is measured."""

    folder: Path
    rounds: int
    pictures: int
    many: int
    kills: int

    @property
    def model(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def tiny(self) -> Path:
        return self.folder / "tiny.safetensors"

    def photographs(self, name: str, count: int) -> Path:
        from sklearn.datasets import load_sample_images

        place = self.folder / name
        place.mkdir()
        random, whole = np.random.default_rng(0), [Image.fromarray(own) for own in load_sample_images().images]
        for k in range(count):
            file = place / f"{k:06d}.jpg"
            if k >= DIFFERENT:
                file.hardlink_to(place / f"{k % DIFFERENT:06d}.jpg")
                continue
            left, top = int(random.integers(0, 140)), int(random.integers(0, 50))
            whole[k % 2].crop((left, top, left + 500, top + 375)).save(file, quality=90)
        return place


def speed(place: Place) -> dict[str, Any]:
    model, corpus = pa.load(place.model), Corpus.of(place.photographs("speed", place.pictures))
    tensors = [as_input(model, read_picture(Path(one.file)), SIZE) for one in corpus.inputs]
    batches = [torch.cat(tensors[k : k + BATCH]) for k in range(0, len(tensors), BATCH)]
    rates: dict[str, list[float]] = {
        "bare, all threads a batch": [],
        "bare, a thread a batch": [],
        "folded": [],
        "corpus": [],
    }
    for number in range(place.rounds):
        rates["bare, all threads a batch"].append(place.pictures / _timed(partial(_bare, model, batches, map)))
        apart = partial(computed_in_order, device=CPU)
        rates["bare, a thread a batch"].append(place.pictures / _timed(partial(_bare, model, batches, apart)))
        rates["folded"].append(place.pictures / _timed(partial(_bare, fold(model), batches, apart)))
        out = place.folder / f"speed-{number}"
        rates["corpus"].append(write_corpus(model, corpus, Asked("maps"), out, shard_size=SHARD).rate)
        say(f"speed, round {number + 1}: { ({name: round(own[-1], 2) for name, own in rates.items()}) }")
    bare = [max(one, other) for one, other in zip(*[*rates.values()][:2], strict=True)]
    return {
        "pictures": place.pictures,
        "pictures_per_second": _spreads(rates),
        "of_the_bare_network": asdict(ratios(rates["corpus"], bare)),
    }


def _bare(model: Classifier, batches: list[Tensor], apply: Callable[..., Any]) -> None:
    @torch.inference_mode()
    def attend(images: Tensor) -> int:
        return len(model.attend(images).logits)

    with evaluating(model):
        sum(apply(attend, batches))


def _timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _spreads(rates: dict[str, list[float]]) -> dict[str, Any]:
    return {name: asdict(Spread.of(own, 2)) for name, own in rates.items()}


def ray(place: Place) -> dict[str, Any]:
    model, corpus = pa.load(place.model), Corpus.of(place.photographs("ray", place.pictures))
    rates: dict[str, list[float]] = {"local": [], "ray": []}
    engines: dict[str, Engine] = {"local": local, "ray": OverRay(named(str(place.model)), workers=2)}
    equal = True
    for number in range(place.rounds):
        for name, engine in engines.items():
            times: list[tuple[float, int]] = []
            out = place.folder / f"ray-{name}-{number}"
            write_corpus(model, corpus, Asked("maps"), out, engine=partial(_noted, engine, times), shard_size=16)
            rows = sum(count for _, count in times[2:])  # of two workers each has its first one behind it
            rates[name].append(rows / (times[-1][0] - times[1][0]))
        equal &= _shards(place.folder / f"ray-local-{number}") == _shards(place.folder / f"ray-ray-{number}")
        say(f"ray, round {number + 1}: { ({name: round(own[-1], 2) for name, own in rates.items()}) }, equal: {equal}")
    return {
        "pictures": place.pictures,
        "pictures_per_second": _spreads(rates),
        "of_local": asdict(ratios(rates["ray"], rates["local"])),
        "bytes_equal": equal,
    }


def _noted(
    engine: Engine, times: list[tuple[float, int]], work: Work, model: Classifier
) -> Generator[tuple[Shard, Written]]:
    for done in engine(work, model):
        times.append((time.perf_counter(), done[1].rows))
        yield done


def _shards(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "shards").iterdir()}


def memory(place: Place) -> dict[str, Any]:
    pictures, out = place.photographs("many", place.many), place.folder / "many-out"
    words = ["maps", str(place.model), str(pictures), "--engine", "local", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "payattention", *words], stdout=subprocess.DEVNULL)
    shards, early, last, peak = -(-place.many // 512), None, 0, 0
    while process.poll() is None:
        time.sleep(0.5)
        now = _status(process.pid, "VmRSS")
        last, peak = now or last, _status(process.pid, "VmHWM") or peak
        if early is None and len([*out.glob("shards/0*.parquet")]) * 10 >= shards:
            early = now
    if process.returncode:
        raise PayAttentionError("the corpus of many pictures failed; its own message stands above")
    return {"pictures": place.many, "mib_after_a_tenth": early, "mib_at_the_end": last, "mib_at_most": peak}


def _status(process: int, name: str) -> int:
    """A line of a process's status in MiB; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{name}:")), 0)


def kills(place: Place) -> dict[str, Any]:
    """A third of the kills are the driver's, the others workers'."""
    random = np.random.default_rng(0)
    pictures, out = place.photographs("hostile", 2000 - HOSTILE), place.folder / "kills"
    for k in range(HOSTILE):
        (pictures / f"hostile-{k:02d}.jpg").write_bytes([b"", b"none", bytes(999)][k % 3])
    words = ["maps", str(place.tiny), str(pictures), "--engine", "ray", "--workers", "2", "--shard-size", "20"]
    command = [sys.executable, "-m", "payattention", *words, "--limit-rate", "20", "--out", str(out)]
    killed = {"driver": 0, "worker": 0}
    while killed["driver"] + killed["worker"] < place.kills:
        driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        while not _workers(driver.pid) and driver.poll() is None:
            time.sleep(0.2)
        for _ in range(2):
            time.sleep(float(random.uniform(0, 6)))
            if there := _workers(driver.pid):
                os.kill(int(random.choice(there)), signal.SIGKILL)
                killed["worker"] += 1
        time.sleep(float(random.uniform(0, 6)))
        if driver.poll() is not None:
            raise PayAttentionError("the corpus was done before the kills were: take a lower --limit-rate")
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        killed["driver"] += 1
        say(f"killed {killed}; {len([*out.glob('shards/0*.parquet')])} shards are there")
    subprocess.run(command[:-4] + command[-2:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    write_corpus(pa.load(place.tiny), Corpus.of(pictures), Asked("maps"), place.folder / "unbroken", shard_size=20)
    rows = pa.read_maps(out)
    ids = [row.id for row in rows.rows("id")]
    return {
        "pictures": 2000,
        "hostile": HOSTILE,
        "killed": killed,
        "rows": len(ids),
        "different": len(set(ids)),
        "errors_named": sum(1 for row in rows.errors if row.error and row.id in row.error),
        "halves_left": len([*out.rglob(".*.partial*")]),
        "bytes_equal": _shards(out) == _shards(place.folder / "unbroken"),
    }


def _workers(driver: int) -> list[int]:
    """The workers of a driver: processes of its session."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            of_session = os.getsid(int(process.name)) == driver or _is_below(int(process.name), driver)
            if of_session and (process / "cmdline").read_bytes().startswith(b"ray::_Worker"):
                found.append(int(process.name))
        except OSError:  # it has ended
            continue
    return found


def _is_below(process: int, driver: int) -> bool:
    while process > 1:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        process = int(fields[1])
        if process == driver:
            return True
    return False


@dataclass
class Pretended:
    """Workers on a pretended clock: each takes some seconds for a shard."""

    clock: float = 0.0
    ends: list[tuple[float, int, object]] = field(default_factory=list)
    given: int = 0


class Slow:
    def __init__(self, others: Pretended, seconds: float) -> None:
        self.others, self.seconds, self.write = others, seconds, self

    def remote(self, shard: Shard) -> object:
        promise = object()
        self.others.given += 1
        heapq.heappush(self.others.ends, (self.others.clock + self.seconds, self.others.given, promise))
        return promise


def tail(place: Place) -> dict[str, Any]:
    found = {}
    for workers, shards in ((2, 20), (4, 40), (8, 80), (32, 320)):
        pretended = Pretended()
        hand_out = _HandOut([Shard(str(number), "", [Input("", "")]) for number in range(shards)])
        for number in range(workers):
            hand_out.give(Slow(pretended, 1.0 if number else 10.0))
        while hand_out.unfinished:
            pretended.clock, _, promise = heapq.heappop(pretended.ends)
            worker, shard = hand_out.running.pop(promise)
            hand_out.done(shard)
            hand_out.give(worker)
        found[str(workers)] = round(pretended.clock / (shards / (workers - 1 + 0.1)), 3)
    return {"shards_a_worker": 10, "times_ideal_by_workers": found}


PARTS: dict[str, Callable[[Place], dict[str, Any]]] = {
    "speed": speed,
    "ray": ray,
    "memory": memory,
    "kills": kills,
    "tail": tail,
}


def main(
    parts: Annotated[str, typer.Option(metavar="A,B,...", help="What is measured.")] = ",".join(PARTS),
    rounds: RoundsOption = 5,
    pictures: Annotated[int, typer.Option(min=64, help="Of speed and ray.")] = 1024,
    many: Annotated[int, typer.Option(min=1000, help="Pictures whose memory is measured.")] = 10_000,
    kills: Annotated[int, typer.Option(min=3, help="How many processes are killed.")] = 30,
    out: OutOption = None,
) -> None:
    chosen = parts.split(",")
    check_known("part", PARTS, *chosen)
    measurement = Measurement("corpus", out, CPU, seed=0)
    torch.manual_seed(0)
    keep_freed()  # as the command line does, for all that is measured
    found: dict[str, Any] = {}
    if measurement.out.is_file():  # the other parts stay as they were measured
        known = json.loads(measurement.out.read_text(encoding="utf-8"))
        found = {part: known[part] for part in PARTS if part in known}
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), rounds, pictures, many, kills)
        model = pa.attach(BACKBONE, CLASSES, levels=2).eval()
        model.image_size = SIZE
        pa.save(model, place.model)
        pa.save(pa.create_model("vgg_att2_concat_pc", CLASSES, 1 / 16).eval(), place.tiny)
        for part in chosen:
            begin = time.perf_counter()
            found[part] = PARTS[part](place)
            say(f"{part}, {time.perf_counter() - begin:.0f} s: {found[part]}")
            measurement.write({"backbone": BACKBONE, "size": SIZE, "rounds": rounds, **found})


if __name__ == "__main__":
    run_script(main)
