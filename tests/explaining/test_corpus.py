"""A corpus: the same rows from every kind of source, one a picture whatever happens, and what a query makes of them."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from torch import nn

from payattention import create_model, explain, read_maps, save, wrap
from payattention.attention.combination import Single
from payattention.errors import DataError, UsageError
from payattention.explaining.corpus import computing
from payattention.explaining.corpus.manifest import Written
from payattention.explaining.corpus.plan import Shard, divided, fingerprint_of
from payattention.explaining.corpus.questions import Asked
from payattention.explaining.corpus.rows import Row, rows_of, table_of
from payattention.explaining.corpus.run_lengths import mask_from, run_lengths
from payattention.explaining.corpus.sources import Corpus, contents
from payattention.explaining.corpus.writing import Work, local, write_corpus
from payattention.explaining.predicting import predicted
from payattention.figures.gallery import gallery_of_rows
from payattention.models import Classifier
from payattention.system.claim import claim
from tiny import encoded, pixels

COUNT, SHARD = 14, 4
HOSTILE = {"empty.jpg": b"", "text.png": b"no picture", "cut.jpg": encoded(pixels(), "JPEG")[:99]}
MAPS = Asked("maps", top=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `pictures`: pictures of two shapes in folders, three of which are called as classes; three are none."""
    place = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(0)
    for number in range(COUNT):
        file = place / "pictures" / ("cat", "dog", "else")[number % 3] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32 + 8 * (number % 2), 40, 3), np.uint8)).save(file)
    for name, content in HOSTILE.items():
        (place / "pictures" / name).write_bytes(content)
    return place


@pytest.fixture(scope="module")
def network() -> Classifier:
    torch.manual_seed(0)
    network = create_model("vgg_att2_concat_pc", 3, 0.0625).eval()
    network.classes = ("cat", "dog", "bird")
    return network


@pytest.fixture(scope="module")
def corpus(place: Path) -> Corpus:
    return Corpus.of(place / "pictures")


@pytest.fixture(scope="module")
def folder(place: Path, network: Classifier, corpus: Corpus) -> Path:
    """All rows, written at once."""
    write_corpus(network, corpus, MAPS, place / "whole", shard_size=SHARD)
    return place / "whole"


def shards_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((folder / "shards").iterdir())}


def readable(place: Path) -> list[Path]:
    return [file for file in sorted((place / "pictures").rglob("*.*")) if file.name not in HOSTILE]


class TestRunLengths:
    def test_by_hand(self) -> None:
        mask = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0]], np.bool_)  # down the columns: 001 110 000
        assert run_lengths(mask).tolist() == [2, 3, 4]
        assert run_lengths(~mask).tolist() == [0, 2, 3, 4]

    @given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 6))))
    @settings(deadline=None, max_examples=50)
    def test_there_and_back(self, mask: np.ndarray) -> None:
        counts = run_lengths(mask)
        assert counts.sum() == mask.size
        assert (mask_from(counts, *mask.shape) == mask).all()


@given(arrays.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)), st.sampled_from([1e-30, 1e-9, 1.0, 1e9]))
@settings(deadline=None, max_examples=30)
def test_a_map_of_any_size_keeps_three_digits_of_its_peak(values: np.ndarray, scale: float) -> None:
    values = values * np.float32(scale)
    rows = [Row("a", "damaged"), Row("b", None, (4, 3), {"cat": 0.5}, maps={"level": values}, combined=values)]
    error, back = rows_of(table_of(rows))
    assert (error.maps, error.combined, error.label) == ({}, None, None)
    assert back.maps["level"] == pytest.approx(values, rel=1e-3, abs=float(values.max()) * 1e-7)


def _as_list(place: Path) -> Path:
    files = sorted((place / "pictures").rglob("*.*"), key=lambda file: (len(file.relative_to(place).parts) > 2, file))
    (place / "list.txt").write_text("\n".join(map(str, files)) + "\n\n")
    return place / "list.txt"


def _as_parquet(place: Path) -> Path:
    (place / "parquet").mkdir()
    rows = [{"bytes": file.read_bytes(), "path": None} for file in map(Path, _as_list(place).read_text().split())]
    for name, own in (("a", rows[:9]), ("b", rows[9:])):
        pq.write_table(pa.table({"image": own}), place / "parquet" / f"{name}.parquet", row_group_size=4)
    return place / "parquet"


def _as_tars(place: Path) -> Path:
    (place / "tars").mkdir()
    files = [*map(Path, _as_list(place).read_text().split())]
    for name, own in (("0", files[:5]), ("1", files[5:])):
        with tarfile.open(place / "tars" / f"{name}.tar", "w") as tar:
            for file in own:
                tar.add(file, f"{file.parent.name}/{file.name}")
                label = tarfile.TarInfo(f"{file.stem}.cls")
                label.size = 1
                tar.addfile(label, io.BytesIO(b"3"))
    return place / "tars"


@pytest.mark.parametrize("made", [_as_list, _as_parquet, _as_tars])
def test_every_kind_of_source_gives_the_same_rows(
    made: Callable[[Path], Path], place: Path, network: Classifier, corpus: Corpus, folder: Path, tmp_path: Path
) -> None:
    source = Corpus.of(made(place))
    assert len(source.inputs) == len({one.id for one in source.inputs}) == len(corpus.inputs)
    write_corpus(network, source, MAPS, tmp_path / "out", shard_size=SHARD)
    apart = ["id", "error", *(["true_class"] if made is _as_parquet else [])]  # it has no folders
    assert read_maps(tmp_path / "out").table().drop_columns(apart).equals(read_maps(folder).table().drop_columns(apart))
    some = source.inputs[3:6]
    assert [one for one, _ in contents(source.kind, some)] == list(some)


def test_rows_are_what_explain_says(place: Path, network: Classifier, folder: Path) -> None:
    rows = [row for row in read_maps(folder) if row.error is None]
    told = explain(network, readable(place))
    assert len(rows) == len(told) == COUNT
    for row, one in zip(rows, told, strict=True):
        assert row.id.endswith(f"{one.name}.png")
        assert (row.label, row.true_class) == (one.label, one.true_class)
        assert row.size == one.picture.size
        assert [*row.top.values()] == pytest.approx([*one.top.values()][:2], rel=1e-5)
        for level, values in one.maps.items():
            assert row.maps[level] == pytest.approx(values, rel=2e-3, abs=1e-7)
        assert row.combined == pytest.approx(one.joint, rel=2e-3, abs=1e-7)
        assert row.mask is not None
        assert (row.mask != one.mask).mean() < 0.01  # rounding, where the map is at the threshold
        inner = one.joint[1:-1, 1:-1].sum() / one.joint.sum()
        assert row.border == pytest.approx(1 - inner, rel=1e-3)


def test_what_cannot_be_read_is_a_row_with_its_error(folder: Path) -> None:
    rows = read_maps(folder)
    assert {row.id: row.error.split(":")[0] for row in rows.errors if row.error} == {name: name for name in HOSTILE}
    assert (rows.manifest.inputs, rows.manifest.rows, rows.manifest.errors) == (COUNT + 3, COUNT + 3, 3)
    assert rows.manifest.complete


def test_a_path_that_leads_nowhere_is_one_too(place: Path, network: Classifier, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(f"{tmp_path}/gone.png\n{readable(place)[0]}\n".encode() + b"/gone\xff.png\n")
    source = Corpus.of(tmp_path / "list.txt")
    write_corpus(network, source, MAPS, tmp_path / "out")
    rows = read_maps(tmp_path / "out")
    assert [row.error is None for row in rows] == [False, True, False]
    assert [row.id for row in rows][2] == "/gone%FF.png"


def test_neither_threads_nor_a_second_time_change_a_byte(
    network: Classifier, corpus: Corpus, folder: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(2)
    try:
        write_corpus(network, corpus, MAPS, tmp_path / "out", shard_size=SHARD)
    finally:
        torch.set_num_threads(1)
    assert shards_of(tmp_path / "out") == shards_of(folder)


_KILLED = """
import os, signal, sys
from pathlib import Path
import payattention as pa, pyarrow.parquet as pq
from payattention.explaining.corpus.questions import Asked
from payattention.explaining.corpus.sources import Corpus
from payattention.explaining.corpus.writing import write_corpus

model, pictures, out, size = sys.argv[1:]
write, count = pq.write_table, 0

def killed(table, place, **options):
    global count
    count += 1
    write(table, place, **options)
    if count == 3:  # in the middle of the third shard
        os.truncate(place, 100)
        os.kill(os.getpid(), signal.SIGKILL)

pq.write_table = killed
write_corpus(pa.load(model), Corpus.of(Path(pictures)), Asked("maps", top=2), Path(out), shard_size=int(size))
"""


def test_what_was_killed_goes_on_and_ends_alike(
    place: Path, network: Classifier, corpus: Corpus, folder: Path, tmp_path: Path
) -> None:
    save(network, tmp_path / "model")
    out = tmp_path / "out"
    words = [tmp_path / "model", place / "pictures", out, SHARD]
    command = [sys.executable, "-c", _KILLED, *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len([*(out / "shards").glob("0*.parquet")]) == 2
    assert [*(out / "shards").glob(".*.partial*")]
    assert not read_maps(out).manifest.complete
    asked: list[str] = []

    def engine(work: Work, model: Classifier) -> Iterator[tuple[Shard, Written]]:
        asked.extend(shard.name for shard in work.shards)
        yield from local(work, model)

    outcome = write_corpus(network, corpus, MAPS, out, engine=engine)
    assert outcome.before == 2 * SHARD
    assert asked == [name.removesuffix(".parquet") for name in shards_of(folder)][2:]
    assert shards_of(out) == shards_of(folder)


def test_a_shard_that_is_not_whole_is_done_again(
    network: Classifier, corpus: Corpus, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_corpus(network, corpus, MAPS, out, shard_size=SHARD)
    first, second, *_ = sorted((out / "shards").iterdir())
    first.write_bytes(first.read_bytes()[:-9])
    second.write_bytes((out / "shards" / sorted(shards_of(out))[2]).read_bytes())  # whole, but another's
    assert write_corpus(network, corpus, MAPS, out).before == len(corpus.inputs) - 2 * SHARD
    assert shards_of(out) == shards_of(folder)


def test_a_folder_has_the_rows_of_one_question(network: Classifier, corpus: Corpus, folder: Path, place: Path) -> None:
    torch.manual_seed(1)
    other = create_model("vgg_att2_concat_pc", 3, 0.0625).eval()
    other.classes = network.classes
    larger = create_model("fast_att_pc", 3, 0.0625).eval()
    larger.image_size = 64  # which is not what is wrong
    fewer = Corpus(corpus.kind, corpus.path, corpus.inputs[1:])
    for model, pictures, asked, size, line in (
        (other, corpus, MAPS, None, "another model"),
        (larger, corpus, MAPS, None, "another model"),
        (network, corpus, replace(MAPS, style="heat"), None, "without --overlays"),
        (network, fewer, MAPS, None, f"on {COUNT + 3} pictures, and the source has {COUNT + 2} now"),
        (network, corpus, Asked("maps", top=2, size=64), None, "size 32, not 64"),
        (network, corpus, Asked("predict", top=2), None, "verb maps, not predict"),
        (network, corpus, MAPS, 5, f"--shard-size {SHARD}"),
    ):
        with pytest.raises(UsageError, match=line):
            write_corpus(model, pictures, asked, folder, shard_size=size)
    with pytest.raises(UsageError, match="not empty"):
        write_corpus(network, corpus, MAPS, place)
    with claim(folder / ".claim"), pytest.raises(UsageError, match="another process"):
        write_corpus(network, corpus, MAPS, folder)


def test_whatever_changes_a_row_changes_the_fingerprint(network: Classifier) -> None:
    def of(**settings: object) -> str:
        model = deepcopy(network)
        for name, value in settings.items():
            setattr(model, name, value)
        return fingerprint_of(model, MAPS)

    found = [
        of(),
        of(combination=Single(0)),
        of(combination=Single(1)),
        of(temperature=2.0),
        of(classes=("a", "b", "c")),
        of(config=replace(network.config, options={"normaliser": "sigmoid"})),
        fingerprint_of(network, replace(MAPS, top=3)),
    ]
    assert len({*found}) == len(found)
    assert of() == found[0]


def test_a_query_finds_what_a_loop_finds(folder: Path, tmp_path: Path) -> None:
    rows = read_maps(folder)
    whole = [row for row in rows if row.error is None]
    label, sure = whole[0].label, float(np.median([row.probability for row in whole if row.probability]))
    border = float(np.median([row.border for row in whole if row.border is not None]))
    queries = {
        "label": (rows.where(label=label), lambda row: row.label == label),
        "most": (rows.where(most=sure), lambda row: row.probability <= sure),
        "border": (rows.where(border_least=border), lambda row: row.border >= border),
        "all": (
            rows.where(true_class="cat", least=sure, border_most=border),
            lambda row: row.true_class == "cat" and row.probability >= sure and row.border <= border,
        ),
    }
    for name, (found, is_meant) in queries.items():
        meant = [row.id for row in whole if is_meant(row)]
        assert [row.id for row in found.rows("id")] == meant, name
        assert len(found) == found.table("id").num_rows == len(meant)
    assert [row.id for row in rows.where().spread(5)] == [row.id for row in whole[::3]]
    assert gallery_of_rows(rows, tmp_path / "page.html", title="some", most=len(whole) - 1) == len(whole[::2])
    with pytest.raises(UsageError, match="did you mean 'label'"):
        rows.table("lable")


def test_predictions_are_those_of_predict(place: Path, network: Classifier, corpus: Corpus, tmp_path: Path) -> None:
    write_corpus(network, corpus, Asked("predict", top=2), tmp_path / "out")
    rows = read_maps(tmp_path / "out")
    told = [one for found, _ in predicted(network, readable(place), top=2) for one in found]
    assert [row.top for row in rows.where()] == [
        {name: pytest.approx(p, rel=1e-5) for name, p in one.top.items()} for one in told
    ]
    with pytest.raises(UsageError, match="no border"):
        rows.where(border_most=0.5)


def test_overlays_and_the_maps_of_a_wrapped_classifier(corpus: Corpus, tmp_path: Path) -> None:
    layers = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    some = Corpus(corpus.kind, corpus.path, corpus.inputs[:6])
    model = wrap(nn.Sequential(*layers).eval(), image_size=32)
    write_corpus(model, some, Asked("maps", style="heat", format="png"), tmp_path / "out")
    rows = read_maps(tmp_path / "out")
    assert rows.manifest.asked["method"] == "grad_cam"
    for row in rows.where():
        assert row.overlay is not None
        with Image.open(tmp_path / "out" / row.overlay) as drawn:
            assert drawn.size == row.size
    assert gallery_of_rows(rows, tmp_path / "page.html", title="some") == 3
    assert all(row.id in (tmp_path / "page.html").read_text() for row in rows.where())


def test_a_map_without_numbers_is_an_error_of_its_picture(corpus: Corpus, tmp_path: Path) -> None:
    broken = create_model("vgg_att2_concat_pc", 3, 0.0625).eval()
    with torch.no_grad():
        for parameter in broken.parameters():
            parameter.fill_(float("nan"))
    some = Corpus(corpus.kind, corpus.path, corpus.inputs[:5])
    write_corpus(broken, some, MAPS, tmp_path / "out")
    assert all("NaN" in (row.error or "") for row in read_maps(tmp_path / "out") if row.id not in HOSTILE)


def test_a_limited_rate_waits_before_each_piece(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slept = [0.0], []
    monkeypatch.setattr(computing.time, "monotonic", lambda: clock[0])

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(computing.time, "sleep", sleep)
    given_out = 0
    for piece in computing._pieces(divided(corpus, "", SHARD), corpus.kind, 3, computing.Pace(2.0)):
        assert clock[0] == pytest.approx(given_out / 2)
        given_out += len(piece.pictures)
    assert given_out == COUNT + 3
    assert slept[0] == 0
    clock[0] += 100  # what was not read in time is not made up for
    pace = computing.Pace(2.0)
    pace.wait(4)
    clock[0] += 100
    pace.wait(4)
    pace.wait(4)
    assert slept[-2:] == [0, 2]


def test_sources_that_are_none_are_told_in_a_line(place: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "a.png").write_bytes(encoded(np.zeros((8, 8, 3), np.uint8), "PNG"))
    (mixed / "a.tar").write_bytes(b"")
    (tmp_path / "cut.tar").write_bytes(b"no tar at all" * 99)
    for name, line in {
        "a.zip": "a corpus is a folder of pictures",
        "gone": "no such file or folder",
        "empty": "no pictures in it",
        "mixed": "it holds .tar files as well as pictures",
        "cut.tar": "not a whole uncompressed tar",
    }.items():
        with pytest.raises(DataError, match=line):
            Corpus.of(tmp_path / name)
    with pytest.raises(DataError, match=r"no manifest\.json"):
        read_maps(place)


def test_results_are_no_pictures_of_their_source(place: Path, network: Classifier, tmp_path: Path) -> None:
    os.link(readable(place)[0], tmp_path / "0.png")
    for _ in range(2):
        outcome = write_corpus(network, Corpus.of(tmp_path), Asked("maps", style="heat"), tmp_path / "out")
        assert outcome.manifest.inputs == 1
