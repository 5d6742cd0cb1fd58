"""Measures the page that `payattention studio` serves, for docs/studio.md: its start, its answers, load and abuse.

Writes results/studio.json, in about ten minutes; everything is on the loopback, asked as a browser asks.

- start: from the command in a fresh process to the page, imports included;
- answers: from a picture that was not seen before to its maps, when the model is loaded;
- changes: from a click on a level to the frame that shows it, in Chromium where it is there, and how many requests that
  made;
- load: eight people, each with a picture after the other; the server's memory in the second half of the time against
  what it had after the first;
- hostile: 2,000 uploads that mean harm (`hostile_uploads.py`), four at a time: an answer is maps, or one line that says
  what is wrong; and whether it is the same process at the end.
"""

import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from PIL import Image

from hostile_uploads import Hostile, hostile_uploads
from measuring import Measurement, OutOption, RoundsOption, say
from payattention.cli.program import run_script
from payattention.errors import PayAttentionError
from payattention.pictures.photographs import photographs

PEOPLE, AT_ONCE = 8, 4
_CHROMIUM = Path("/usr/bin/chromium")
_START, _ANSWER = 600.0, 600.0  # seconds until it is given up


@dataclass(frozen=True)
class Answer:
    """What came back: maps, or a line; "" where there was neither."""

    kind: str
    text: str


class Server:
    """`payattention studio` in a process of its own, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        command = [sys.executable, "-m", "payattention", "studio", "--port", str(self.port)]
        self._said = folder / "said.txt"  # a pipe that nobody reads would fill up
        self._start = time.perf_counter()
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)

    def first_page(self) -> float:
        """Seconds from the start of the process to the whole page."""
        while time.perf_counter() - self._start < _START:
            try:
                if httpx.get(self.url, timeout=_START).status_code == 200:
                    return time.perf_counter() - self._start
            except httpx.HTTPError:
                if self.process.poll() is not None:
                    raise PayAttentionError(f"the studio ended: {self._said.read_text()}") from None
                time.sleep(0.01)
        raise PayAttentionError("the studio did not start")

    @property
    def memory(self) -> float:
        """What it holds, in MiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


class Person:
    """Asks the page's functions as a browser does."""

    def __init__(self, url: str) -> None:
        self.api = f"{url}gradio_api"
        self.client = httpx.Client(timeout=_ANSWER)
        self.model = next(iter(self._models()))

    def _models(self) -> Sequence[str]:
        config = self.client.get(f"{self.api.removesuffix('/gradio_api')}/config").json()
        fields = [own["props"] for own in config["components"] if own["props"].get("elem_id") == "pa-model"]
        return [str(fields[0]["value"])]

    def ask(self, upload: Hostile) -> Answer:
        """Sends a file, and asks what the page makes of it."""
        place = upload.name
        if upload.function != "place":
            sent = self.client.post(f"{self.api}/upload", files={"files": (upload.name, upload.content)})
            if sent.status_code != 200:
                return Answer("refused", sent.text)
            place = sent.json()[0]
        file = {"path": place, "orig_name": upload.name, "meta": {"_type": "gradio.FileData"}}
        function, data = ("train", [file, None]) if upload.function == "train" else ("look", [file, self.model, []])
        asked = self.client.post(f"{self.api}/call/{function}", json={"data": data})
        if asked.status_code != 200:
            return Answer("refused", asked.text)
        with self.client.stream("GET", f"{self.api}/call/{function}/{asked.json()['event_id']}") as answer:
            return _read(answer.iter_lines())


def _read(lines: Iterator[str]) -> Answer:
    event = ""
    for line in lines:
        if line.startswith("event:"):
            event = line.partition(":")[2].strip()
        elif line.startswith("data:") and event in ("complete", "error"):
            value = json.loads(line.partition(":")[2])
            if event == "complete":
                return Answer("maps", str(value[0]))
            return Answer("refused", str(value.get("error", "") if isinstance(value, dict) else value or ""))
    return Answer("", "")


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    try:
        server.first_page()
        yield server
    finally:
        server.end()


def pictures() -> list[Image.Image]:
    """scikit-image's photographs, of a camera's proportions."""
    found = [Image.open(file).convert("RGB") for file in photographs()]
    if not found:
        raise PayAttentionError("this needs the photographs that scikit-image brings")
    return found


def photograph(number: int, own: Sequence[Image.Image]) -> Hostile:
    """Another part of a photograph for each number, as JPEG: no two ask the same."""
    picture = own[number % len(own)]
    left, top = number * 7 % (picture.width // 3), number * 11 % (picture.height // 3)
    file = io.BytesIO()
    picture.crop((left, top, left + picture.width // 2, top + picture.height // 2)).save(file, "JPEG", quality=90)
    return Hostile("a photograph", f"{number}.jpg", file.getvalue())


def spread(values: Sequence[float], digits: int = 3) -> dict[str, Any]:
    """Least, median and greatest."""
    kept = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {name: round(value, digits) for name, value in kept.items()} | {"count": len(values)}


def measure_start(folder: Path, rounds: int) -> dict[str, Any]:
    seconds = []
    for _ in range(rounds):
        server = Server(folder)
        try:
            seconds.append(server.first_page())
        finally:
            server.end()
    return spread(seconds)


def measure_answers(server: Server, own: Sequence[Image.Image], count: int) -> dict[str, Any]:
    person, seconds = Person(server.url), []
    person.ask(photograph(0, own))  # the model is loaded
    for number in range(1, 1 + count):
        start = time.perf_counter()
        answer = person.ask(photograph(number, own))
        seconds.append(time.perf_counter() - start)
        if answer.kind != "maps":
            raise PayAttentionError(f"no maps of a photograph: {answer.text}")
    return spread(seconds)


def measure_load(server: Server, own: Sequence[Image.Image], seconds: float) -> dict[str, Any]:
    """Eight people, as long as it takes for the memory of a first and a second half."""
    times: list[tuple[float, float, Answer]] = []
    memory: list[tuple[float, float]] = []
    start = time.perf_counter()

    def ask_all_the_time(who: int) -> None:
        person, number = Person(server.url), 1000 * (1 + who)
        while (begun := time.perf_counter()) - start < seconds:
            number += 1
            answer = person.ask(photograph(number, own))
            times.append((begun - start, time.perf_counter() - begun, answer))

    people = [threading.Thread(target=ask_all_the_time, args=(who,)) for who in range(PEOPLE)]
    for person in people:
        person.start()
    while any(person.is_alive() for person in people):
        memory.append((time.perf_counter() - start, server.memory))
        time.sleep(0.5)
    halves = [[mib for at, mib in memory if (at < seconds / 2) == first] for first in (True, False)]
    return {
        "people": PEOPLE,
        "seconds": seconds,
        "answers": len(times),
        "without_maps": sum(answer.kind != "maps" for _, _, answer in times),
        "why": next((answer.text for _, _, answer in times if answer.kind != "maps"), None),
        "seconds_an_answer": spread([took for _, took, _ in times]),
        "memory_mib": {
            "after_the_first_half": round(halves[0][-1], 1),
            "most_in_the_second_half": round(max(halves[1] or halves[0]), 1),
            "at_the_end": round(memory[-1][1], 1),
        },
    }


def measure_hostile(server: Server, own: Sequence[Image.Image], count: int) -> dict[str, Any]:
    before, process = server.memory, server.process.pid
    people = [Person(server.url) for _ in range(AT_ONCE)]
    uploads = list(hostile_uploads(count, [picture.resize((120, 90)) for picture in own]))

    def shared(who: int) -> list[tuple[Hostile, Answer]]:
        return [(upload, _answer(people[who], upload)) for upload in uploads[who::AT_ONCE]]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = [pair for own_pairs in pool.map(shared, range(AT_ONCE)) for pair in own_pairs]
    unclear = [(upload, answer) for upload, answer in answers if not is_clear(answer)]
    by_kind: dict[str, Counter[str]] = {}
    for upload, answer in answers:
        by_kind.setdefault(upload.kind, Counter())[answer.kind if is_clear(answer) else "unclear"] += 1
    alive = server.process.poll() is None
    return {
        "uploads": len(answers),
        "clear": len(answers) - len(unclear),
        "unclear": [{"kind": u.kind, "name": u.name[:80], "answer": a.text[:300]} for u, a in unclear[:20]],
        "by_kind": {kind: dict(found) for kind, found in sorted(by_kind.items())},
        "the_same_process": alive and process == server.process.pid,
        "memory_mib": {"before": round(before, 1), "after": round(server.memory, 1) if alive else None},
        "answers_afterwards": alive and people[0].ask(photograph(1, own)).kind == "maps",
    }


def _answer(person: Person, upload: Hostile) -> Answer:
    try:
        return person.ask(upload)
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return Answer("", f"{type(error).__name__}: {error}")


def is_clear(answer: Answer) -> bool:
    """Maps, or one line that is a sentence of ours."""
    if answer.kind == "maps":
        return True
    line = answer.text.strip()
    ours = bool(line) and "\n" not in line and "Traceback" not in line and "went wrong on the server" not in line
    return answer.kind == "refused" and ours and line not in ("None", "null", "Internal Server Error")


def measure_changes(server: Server, own: Sequence[Image.Image], rounds: int) -> dict[str, Any] | None:
    """None where there is no Chromium."""
    if not _CHROMIUM.is_file():
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as starting, tempfile.TemporaryDirectory() as place:
        browser = starting.chromium.launch(executable_path=str(_CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1000 * _ANSWER)
        file = Path(place, "a.jpg")
        file.write_bytes(photograph(5, own).content)
        page.goto(server.url)
        page.locator("#pa-look-picture input[type=file]").set_input_files(file)
        page.locator("#pa-look canvas, #pa-look img.pa-map").first.wait_for()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url) if request.url.startswith("http") else None)
        milliseconds = page.evaluate(_CHANGES, rounds)
        browser.close()
    if not milliseconds:
        raise PayAttentionError("the page shows no levels to choose from")
    return {"milliseconds": spread(milliseconds, 1), "requests": len(requests)}


_CHANGES = """async (rounds) => {
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const found = [];
  for (let round = 0; round < rounds; round++)
    for (const input of document.querySelectorAll('#pa-look .pa-choice input[type=radio]')) {
      await painted();
      const start = performance.now();
      input.click();
      await painted();
      found.push(performance.now() - start);
    }
  return found;
}"""


def main(
    rounds: RoundsOption = 5,
    seconds: Annotated[float, typer.Option(min=2, help="Of the load; memory is compared between its halves.")] = 120,
    uploads: Annotated[int, typer.Option(min=4, help="How many hostile files are sent.")] = 2000,
    out: OutOption = None,
) -> None:
    """Measures the studio."""
    measurement, own = Measurement("studio", out), pictures()
    with tempfile.TemporaryDirectory() as place:
        result: dict[str, Any] = {"cores": os.cpu_count(), "start": measure_start(Path(place), rounds)}
        say("start", result["start"])
        with serving(Path(place)) as server:
            result["answers"] = measure_answers(server, own, 4 * rounds)
            say("answers", result["answers"])
            result["changes"] = measure_changes(server, own, rounds)
            say("changes", result["changes"])
            result["load"] = measure_load(server, own, seconds)
            say("load", result["load"])
            result["hostile"] = measure_hostile(server, own, uploads)
            say("hostile", result["hostile"])
    measurement.write(result)


if __name__ == "__main__":
    run_script(main)
