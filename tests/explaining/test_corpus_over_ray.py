"""Ray's workers: the rows of one process, byte for byte, also where one of them is killed; and who gets which shard."""

import gc
import heapq
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from payattention import create_model, load, save
from payattention.errors import PayAttentionError
from payattention.explaining.corpus.manifest import Written
from payattention.explaining.corpus.over_ray import OverRay, _HandOut, _Task, _Worker
from payattention.explaining.corpus.plan import Shard, divided, fingerprint_of
from payattention.explaining.corpus.questions import Asked
from payattention.explaining.corpus.sources import Corpus, Input
from payattention.explaining.corpus.writing import Work, write_corpus
from payattention.models import Classifier
from payattention.weights.named import named

MAPS = Asked("maps", top=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved network, and twelve pictures, one of which is none."""
    place = tmp_path_factory.mktemp("ray")
    save(create_model("vgg_att2_concat_pc", 3, 0.0625).eval(), place / "model")
    (place / "pictures").mkdir()
    random = np.random.default_rng(0)
    for number in range(11):
        Image.fromarray(random.integers(0, 256, (32, 40, 3), np.uint8)).save(place / "pictures" / f"{number:02d}.png")
    (place / "pictures" / "none.png").write_bytes(b"none")
    return place


def workers() -> list[int]:
    """The processes of our workers."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, owner = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:  # it has ended
            continue
        if command.startswith(b"ray::_Worker") and f"PAYATTENTION_OF={os.getpid()}".encode() in owner:
            found.append(int(process.name))
    return found


# Ray itself leaves files and sockets of its own to the garbage collector
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
def test_two_workers_write_the_same_bytes_though_one_is_killed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("PAYATTENTION_OF", str(os.getpid()))
    corpus, model = Corpus.of(place / "pictures"), load(place / "model")
    killed: list[int] = []

    def engine(work: Work, model: Classifier) -> Iterator[tuple[Shard, Written]]:
        for number, done in enumerate(OverRay(named(str(place / "model")), workers=2)(work, model)):
            if not number:
                killed.extend(workers()[:1])
                os.kill(killed[0], signal.SIGKILL)
            yield done

    try:
        write_corpus(model, corpus, MAPS, tmp_path / "ray", shard_size=2, engine=engine)
    except PayAttentionError as error:
        if "timed out during startup" not in str(error):
            raise
    gc.collect()  # here, where what Ray leaves behind is ignored, not in the next test
    if not killed:
        pytest.skip("this machine is so busy that Ray does not start within its 30 seconds")
    outcome = write_corpus(model, corpus, MAPS, tmp_path / "local", shard_size=2)
    assert outcome.manifest.complete
    shards = [sorted((tmp_path / name / "shards").iterdir()) for name in ("ray", "local")]
    assert [file.name for file in shards[0]] == [file.name for file in shards[1]]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(*shards, strict=True))
    assert not workers()


def test_a_worker_that_finds_another_model_says_so(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payattention.explaining.corpus.over_ray.keep_freed", lambda: True)  # of this process, too
    model, corpus = load(place / "model"), Corpus.of(place / "pictures")
    fingerprint = fingerprint_of(model, MAPS)
    (shard,) = divided(corpus, fingerprint, 99)
    task = _Task(named(str(place / "model")), Work(tmp_path, MAPS, fingerprint, corpus.kind, ()), 1)
    assert _Worker(task).write(shard) == Written(12, 1)
    slow = _Worker(replace(task, work=replace(task.work, folder=tmp_path / "slow", rate=1e9)))
    waited: list[int] = []
    monkeypatch.setattr(slow.pace, "wait", waited.append)
    for some in divided(corpus, fingerprint, 5):
        slow.write(some)
    assert waited == [5, 5, 2]  # one pace through all shards
    for other, line in (
        (replace(task, work=replace(task.work, fingerprint="0")), "another model"),
        (replace(task, version="0"), "not 0"),
    ):
        with pytest.raises(PayAttentionError, match=line):
            _Worker(other).write(shard)


@dataclass
class Pretended:
    """Workers that take some time for a shard, and a clock that goes on from one end to the next."""

    clock: float = 0.0
    ends: list[tuple[float, int, object]] = field(default_factory=list)
    given: int = 0

    def worker(self, seconds: float) -> "PretendedWorker":
        return PretendedWorker(self, seconds)

    def ready(self) -> object:
        self.clock, _, promise = heapq.heappop(self.ends)
        return promise


class PretendedWorker:
    def __init__(self, others: Pretended, seconds: float) -> None:
        self.others, self.seconds, self.write = others, seconds, self

    def remote(self, shard: Shard) -> object:
        promise = object()
        self.others.given += 1
        heapq.heappush(self.others.ends, (self.others.clock + self.seconds, self.others.given, promise))
        return promise


def numbered(count: int) -> Sequence[Shard]:
    return [Shard(str(number), "", [Input(f"{number}.png", "")]) for number in range(count)]


@pytest.mark.parametrize(("count", "shards"), [(2, 20), (4, 24), (8, 80)])
def test_a_worker_ten_times_slower_does_not_hold_up_the_end(count: int, shards: int) -> None:
    pretended, hand_out, done = Pretended(), _HandOut(numbered(shards)), []
    for number in range(count):
        hand_out.give(pretended.worker(1.0 if number else 10.0))
    while hand_out.unfinished:
        worker, shard = hand_out.running.pop(pretended.ready())
        if hand_out.done(shard):
            done.append(shard.name)
        hand_out.give(worker)
    assert sorted(done, key=int) == [shard.name for shard in numbered(shards)]
    assert pretended.clock <= 1.3 * shards / (count - 1 + 0.1)


def test_a_shard_at_which_workers_die_again_and_again_ends_it() -> None:
    pretended, hand_out = Pretended(), _HandOut(numbered(2))
    hand_out.give(pretended.worker(1.0))
    for _ in range(4):
        _, shard = hand_out.running.pop(pretended.ready())
        hand_out.died(shard, RuntimeError("killed"))
        hand_out.give(pretended.worker(1.0))
        assert [own.name for _, own in hand_out.running.values()] == ["0"]
    with pytest.raises(PayAttentionError, match=r"5 workers died at shards/0\.parquet, of 0\.png to 0\.png"):
        hand_out.died(shard, RuntimeError("killed"))
