"""Every named set, from tiny files in its official layout."""

import hashlib
import json
import pickle
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

from payattention.cli.app import run
from payattention.data import CATALOGUE, ImageSet, check_name, load_data
from payattention.data.catalogue import catalogue_of
from payattention.data.download import download
from payattention.data.load import _READERS, state
from payattention.data.readers.cluttered_digits import COUNTS
from payattention.errors import DataError, UsageError
from tiny import encoded, pixels

Make = Callable[[Path, pytest.MonkeyPatch], None]


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def save(file: Path, content: bytes | str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def picture(file: Path, seed: int, width: int = 8, height: int = 8) -> None:
    save(file, encoded(pixels(seed, height, width), "PNG"))  # a decoder goes by the content, not by the suffix


def make_cifar(name: str, fine: str, classes: list[str]) -> Make:
    def make(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]

        def write(file: str, value: object) -> str:
            content = pickle.dumps(value)
            save(root / name / kind.base_folder / file, content)
            return md5(content)

        def batch(seed: int) -> dict[str, object]:
            images = [pixels(seed + k, 32, 32).transpose(2, 0, 1).ravel() for k in range(2)]
            return {"data": np.stack(images), fine: [0, 1]}

        lists = {
            part: [[file, write(file, batch(seed))] for file, seed in files.items()]
            for part, files in (
                ("train_list", {"data_batch_1": 0, "data_batch_2": 2} if name == "cifar10" else {"train": 0}),
                ("test_list", {"test_batch" if name == "cifar10" else "test": 4}),
            )
        }
        for part, files in lists.items():
            monkeypatch.setattr(kind, part, files)
        meta = {"filename": kind.meta["filename"], "key": kind.meta["key"]}
        monkeypatch.setattr(kind, "meta", {**meta, "md5": write(meta["filename"], {meta["key"]: classes})})

    return make


def make_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {}
    for seed, split in enumerate(("train", "test", "extra")):
        file = root / "svhn" / f"{split}_32x32.mat"
        file.parent.mkdir(exist_ok=True, parents=True)
        images = np.stack([pixels(10 * seed + k, 32, 32) for k in range(3)], axis=3)
        scipy.io.savemat(file, {"X": images, "y": np.array([[1], [10], [9]], np.uint8)})
        splits[split] = ["", file.name, md5(file.read_bytes())]
    monkeypatch.setattr(datasets.SVHN, "split_list", splits)


def make_stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = []
    for seed, split in enumerate(("train", "test")):
        images = np.stack([pixels(10 * seed + k, 96, 96) for k in range(2)])
        files = {f"{split}_X.bin": images.transpose(0, 3, 2, 1).tobytes(), f"{split}_y.bin": bytes([1, 10])}
        for file, content in files.items():
            save(root / "stl10" / "stl10_binary" / file, content)
        lists.append([[file, md5(content)] for file, content in files.items()])
    monkeypatch.setattr(datasets.STL10, "train_list", [*lists[0], ["unlabeled_X.bin", "absent"]])
    monkeypatch.setattr(datasets.STL10, "test_list", lists[1])


def make_class_folders(name: str, folder: str, classes: list[str], count: int, other: str = "") -> Make:
    def make(root: Path, _: pytest.MonkeyPatch) -> None:
        for label, kind in enumerate([*classes, *([other] if other else [])]):
            for k in range(count):
                picture(root / name / folder / kind / f"image_{k:04d}.jpg", 100 * label + k)

    return make


def make_pets(root: Path, _: pytest.MonkeyPatch) -> None:
    base = root / "oxford_pets" / "oxford-iiit-pet"
    lists: dict[str, list[str]] = {"trainval": [], "test": []}
    for seed, (breed, number) in enumerate({"Abyssinian": 1, "shiba_inu": 34, "american_bulldog": 2}.items()):
        for k, part in enumerate(("trainval", "test", "test")):
            picture(base / "images" / f"{breed}_{k}.jpg", 10 * seed + k)
            trimap = np.full((8, 8), 2, np.uint8)
            trimap[:, :4], trimap[:, 4] = 1, 3
            save(base / "annotations" / "trimaps" / f"{breed}_{k}.png", encoded(Image.fromarray(trimap), "PNG"))
            lists[part].append(f"{breed}_{k} {number} 1 1")
    for part, lines in lists.items():
        save(base / "annotations" / f"{part}.txt", "\n".join(["#Image CLASS-ID SPECIES BREED ID", *lines]))


def make_cub(root: Path, _: pytest.MonkeyPatch) -> None:
    base = root / "cub200" / "CUB_200_2011"
    kinds = {1: "001.Black_footed_Albatross", 2: "002.Laysan_Albatross"}
    lines: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": [], "bounding_boxes": []}
    for number in range(1, 7):
        label = 1 + (number > 3)
        picture(base / "images" / kinds[label] / f"{number}.jpg", number, width=200, height=120)
        values = (f"{kinds[label]}/{number}.jpg", label, int(number % 3 != 0), "40.0 20.0 80.0 80.0")
        for table, value in zip(lines, values, strict=True):
            lines[table].append(f"{number} {value}")
    for table, rows in lines.items():
        save(base / f"{table}.txt", "\n".join(rows))
    save(base / "classes.txt", "\n".join(f"{number} {kind}" for number, kind in kinds.items()))


def make_action40(root: Path, _: pytest.MonkeyPatch) -> None:
    for label, action in enumerate(("applauding", "blowing_bubbles")):
        for part, numbers in {"train": (1, 2), "test": (3,)}.items():
            names = [f"{action}_{number:03d}.jpg" for number in numbers]
            save(root / "action40" / "ImageSplits" / f"{action}_{part}.txt", "\n".join(names) + "\n")
            for number, name in zip(numbers, names, strict=True):
                picture(root / "action40" / "JPEGImages" / name, 10 * label + number)


def make_scene67(root: Path, _: pytest.MonkeyPatch) -> None:
    for label, scene in enumerate(("airport_inside", "artstudio")):
        for k in range(4):
            picture(root / "scene67" / "Images" / scene / f"{k}.jpg", 10 * label + k)
    for part, k in {"Train": 0, "Test": 1}.items():
        save(root / "scene67" / f"{part}Images.txt", f"airport_inside/{k}.jpg\nartstudio/{k}.jpg\n")


def make_object_discovery(root: Path, _: pytest.MonkeyPatch) -> None:
    for label, name in enumerate(("Airplane100", "Car100", "Horse100")):
        folder = root / "object_discovery" / "Data" / name
        for k in range(2):
            picture(folder / f"{k:04d}.jpg", 10 * label + k)
            mask = np.zeros((8, 8), np.uint8)
            mask[:4] = 255 * k  # the first picture holds no object
            save(folder / "GroundTruth" / f"{k:04d}.png", encoded(Image.fromarray(mask), "PNG"))


SPORTS = ["RockClimbing", "badminton", "bocce", "croquet", "polo", "rowing", "sailing", "snowboarding"]
# what the tiny files hold: images by split, and the first classes
SETS: dict[str, tuple[Make, dict[str, int], tuple[str, ...]]] = {
    "cifar10": (make_cifar("cifar10", "labels", ["airplane", "car"]), {"train": 4, "test": 2}, ("airplane", "car")),
    "cifar100": (make_cifar("cifar100", "fine_labels", ["apple", "bee"]), {"train": 2, "test": 2}, ("apple", "bee")),
    "svhn": (make_svhn, {"train": 3, "test": 3, "extra": 3}, ("0", "1", "2")),
    "stl10": (make_stl10, {"train": 2, "test": 2, "all": 4}, ("airplane", "bird", "car", "cat")),
    "caltech101": (
        make_class_folders("caltech101", "101_ObjectCategories", ["Faces", "ant"], 17, "BACKGROUND_Google"),
        {"train": 30, "test": 4, "all": 34},
        ("Faces", "ant"),
    ),
    "caltech256": (
        make_class_folders("caltech256", "256_ObjectCategories", ["001.ak47", "002.flag"], 32, "257.clutter"),
        {"train": 60, "test": 4, "all": 64},
        ("ak47", "flag"),
    ),
    "oxford_pets": (make_pets, {"train": 3, "test": 6}, ("Abyssinian", "American Bulldog", "Shiba Inu")),
    "cub200": (make_cub, {"train": 4, "test": 2}, ("Black footed Albatross", "Laysan Albatross")),
    "cub200_whole": (make_cub, {"train": 4, "test": 2}, ("Black footed Albatross", "Laysan Albatross")),
    "event8": (make_class_folders("event8", "event_img", SPORTS[:2], 72), {"train": 140, "test": 4, "all": 144}, ()),
    "action40": (make_action40, {"train": 4, "test": 2, "all": 6}, ("applauding", "blowing bubbles")),
    "scene67": (make_scene67, {"train": 2, "test": 2, "all": 8}, ("airport_inside", "artstudio")),
    "object_discovery": (make_object_discovery, {"test": 6}, ("airplane", "car", "horse")),
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        SETS[name][0](tmp_path / "root", monkeypatch)
        return tmp_path / "root"

    return make


def test_every_set_of_the_catalogue_has_a_reader_and_is_tested_here() -> None:
    assert set(CATALOGUE) - {"cluttered_digits"} == set(_READERS) == set(SETS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": "ten"}, "catalogue.toml, mine: classes is 'ten': a whole number is needed"),
        ({"counts": {"test": 0}}, "catalogue.toml, mine: counts.test is 0: it is at least 1"),
        ({"kind": "downlod"}, "catalogue.toml, mine: unknown kind 'downlod'; did you mean 'download'"),
        ({"license": "MIT"}, "catalogue.toml, mine: unknown facts field 'license'; did you mean 'licence'"),
        ({"marker": ""}, "catalogue.toml, mine: what is not embedded says where it comes from"),
    ],
)
def test_a_mistake_in_the_catalogue_is_named(fields: dict[str, object], message: str) -> None:
    theirs = {name: value for name, value in asdict(CATALOGUE["cifar10"]).items() if name != "name"}
    with pytest.raises(UsageError, match=message):
        catalogue_of({"theirs": theirs, "mine": {"base": "theirs", **fields}})


@pytest.mark.parametrize("name", SETS)
def test_a_set_in_its_official_layout(name: str, made: Callable[[str], Path]) -> None:
    root = made(name)
    assert state(CATALOGUE[name], root) == "ready"
    counts, first_classes = SETS[name][1:]
    assert counts.keys() == CATALOGUE[name].counts.keys()
    whole: list[bytes] = []
    for split, count in counts.items():
        data = load_data(name, split, root=root)
        side = CATALOGUE[name].size
        assert data.images.shape == (count, side, side, 3)
        assert data.classes[: len(first_classes)] == first_classes
        assert (data.masks is not None) == bool(CATALOGUE[name].masks)
        assert data.mirror == CATALOGUE[name].mirror
        assert data.source == f"{count:,} of {CATALOGUE[name].counts[split]:,} images"  # it is not the whole set
        assert not data.skipped
        if split != "all":
            whole += [image.tobytes() for image in data.images]
        elif name != "scene67":  # whose official splits are a part
            assert sorted(whole) == sorted(image.tobytes() for image in data.images)
    assert len(set(whole)) == len(whole)  # no image is in two splits
    assert load_data(name, split, root=root, image_size=5).images.shape[1:] == (5, 5, 3)


def test_arrays_come_out_with_their_rows_and_labels(made: Callable[[str], Path]) -> None:
    cifar = load_data("cifar10", "train", root=made("cifar10"))
    assert (cifar.images == np.stack([pixels(k, 32, 32) for k in range(4)])).all()
    assert cifar.labels.tolist() == [0, 1, 0, 1]
    svhn = load_data("svhn", "test", root=made("svhn"))
    assert (svhn.images == np.stack([pixels(10 + k, 32, 32) for k in range(3)])).all()
    assert svhn.labels.tolist() == [1, 0, 9]  # SVHN calls the digit 0 ten
    stl = load_data("stl10", "all", root=made("stl10"))
    assert (stl.images == np.stack([pixels(k, 96, 96) for k in (0, 1, 10, 11)])).all()
    assert stl.labels.tolist() == [0, 9, 0, 9]


def test_labels_and_masks_of_pictures(made: Callable[[str], Path]) -> None:
    pets = load_data("oxford_pets", "test", root=made("oxford_pets"), image_size=8)
    assert pets.labels.tolist() == [0, 0, 2, 2, 1, 1]
    assert (pets.images[2] == pixels(11)).all()
    assert pets.masks is not None
    assert pets.masks[:, :, :4].all()
    assert not pets.masks[:, :, 4:].any()  # neither border nor background
    discovery = load_data("object_discovery", "test", root=made("object_discovery"), image_size=8)
    assert discovery.masks is not None
    assert discovery.masks.mean((1, 2)).tolist() == [0, 0.5] * 3


def test_birds_are_cropped_to_their_box_or_have_it_for_a_mask(made: Callable[[str], Path]) -> None:
    root = made("cub200")
    cropped = load_data("cub200", "train", root=root)
    assert cropped.labels.tolist() == [0, 0, 1, 1]
    assert (cropped.images[0] == pixels(1, 120, 200)[20:100, 40:120]).all()
    whole = load_data("cub200_whole", "train", root=root, image_size=120)
    assert (whole.images[0] == pixels(1, 120, 200)[:, 40:160]).all()
    by_hand = np.zeros((120, 120), np.bool_)
    by_hand[20:100, :80] = True
    assert whole.masks is not None
    assert (whole.masks == by_hand).all()


@pytest.mark.parametrize("box", ["150 20 80 80", "-50 0 80 80", "0 0 0 10", "nan 0 10 10", "0 0 inf 10"])
def test_a_box_outside_its_picture_is_bad(made: Callable[[str], Path], box: str) -> None:
    root = made("cub200")
    file = root / "cub200" / "CUB_200_2011" / "bounding_boxes.txt"
    file.write_text(file.read_text().replace("1 40.0 20.0 80.0 80.0", f"1 {box}"))
    data = load_data("cub200", "train", root=root)
    assert len(data) == 3
    assert "1.jpg: the box" in data.skipped[0]


def test_a_box_that_reaches_out_by_little_is_cut(made: Callable[[str], Path]) -> None:
    root = made("cub200")
    file = root / "cub200" / "CUB_200_2011" / "bounding_boxes.txt"
    file.write_text(file.read_text().replace("1 40.0 20.0 80.0 80.0", "1 120.0 41.0 82.0 80.0"))
    data = load_data("cub200", "train", root=root)
    by_hand = Image.fromarray(pixels(1, 120, 200)[41:, 120:]).resize((80, 80), Image.Resampling.BICUBIC)
    assert (data.images[0] == np.asarray(by_hand)).all()


@pytest.mark.parametrize(
    ("name", "file", "content", "words"),
    [
        ("cub200", "CUB_200_2011/bounding_boxes.txt", "3 a b c d\n", "'a b c d' is not left, top, width and height"),
        ("cub200", "CUB_200_2011/image_class_labels.txt", "1 one\n", "'one' is not a whole number"),
        ("cub200", "CUB_200_2011/classes.txt", None, "cannot be read"),
        ("cub200", "CUB_200_2011/images.txt", "1 a.jpg\n", "number '3' is not in all of images"),
        ("oxford_pets", "oxford-iiit-pet/annotations/test.txt", "a 1\n", "'a 1' should hold 4 values"),
        ("oxford_pets", "oxford-iiit-pet/annotations/test.txt", b"\xff\xfe\x00", "not a text file"),
        ("scene67", "TestImages.txt", "moon/1.jpg\n", "'moon/1.jpg' is not in a folder of"),
        ("action40", "ImageSplits/applauding_test.txt", None, "cannot be read"),
        ("object_discovery", "Data/Car100", None, "cannot be read"),
    ],
)
def test_a_damaged_layout_is_one_line(
    name: str, file: str, content: str | bytes | None, words: str, made: Callable[[str], Path]
) -> None:
    root = made(name)
    target = root / CATALOGUE[name].folder / file
    if content is None:
        target.rename(target.with_name("elsewhere"))
    else:
        save(target, content)
    with pytest.raises(DataError, match=words) as caught:
        load_data(name, "test", root=root)
    assert Path(file).stem in str(caught.value) or "images" in words
    assert "\n" not in str(caught.value)


class _Trap:
    """A pickle that runs code when it is opened."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("file", ["data_batch_2", "test_batch", "batches.meta"])
def test_a_pickle_that_is_not_the_official_file_is_never_opened(
    file: str, made: Callable[[str], Path], tmp_path: Path
) -> None:
    root = made("cifar10")
    sprung = tmp_path / "sprung"
    save(root / "cifar10" / "cifar-10-batches-py" / file, pickle.dumps(_Trap(sprung)))
    with pytest.raises(DataError, match=f"{file}: not the official file"):
        load_data("cifar10", "train", root=root)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(_Trap(sprung)))
    assert sprung.exists()  # the trap works


@pytest.mark.parametrize(("name", "file"), [("svhn", "test_32x32.mat"), ("stl10", "stl10_binary/test_X.bin")])
def test_a_cut_off_array_is_refused_by_its_checksum(name: str, file: str, made: Callable[[str], Path]) -> None:
    root = made(name)
    content = (root / name / file).read_bytes()
    save(root / name / file, content[: len(content) // 2])
    with pytest.raises(DataError, match=f"{Path(file).name}: not the official file"):
        load_data(name, "test", root=root)


@pytest.mark.parametrize("name", SETS)
def test_a_missing_set_says_what_to_get_and_where_to_put_it(name: str, tmp_path: Path) -> None:
    facts = CATALOGUE[name]
    with pytest.raises(DataError) as caught:
        load_data(name, "test", root=tmp_path)
    for part in (facts.get, str(tmp_path / facts.folder / facts.marker), facts.layout):
        assert part in str(caught.value)
    assert ("--download" in str(caught.value)) == (facts.kind == "download")


def test_a_parquet_copy_is_found_by_name_and_says_so(tmp_path: Path) -> None:
    from test_parquet import pngs, write

    write(tmp_path / "cifar10" / "train-00000-of-00001.parquet", pngs(range(2)), [0, 1], ["airplane", "automobile"])
    write(tmp_path / "cifar10" / "test-00000-of-00001.parquet", pngs(range(2)), [0, 1], ["airplane", "automobile"])
    assert state(CATALOGUE["cifar10"], tmp_path) == "ready (parquet copy)"
    data = load_data("cifar10", root=tmp_path, image_size=8)
    assert (data.name, data.source) == ("cifar10", "parquet copy, pictures as PNG, 2 of 50,000 images")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check_name("cifar1000"), "did you mean 'cifar100'"),
        (lambda: check_name("folder:"), "write folder:PATH"),
        (lambda: load_data("svhn", "validation"), "unknown split 'validation'"),
        (lambda: load_data("cifar10", "extra"), "unknown split 'extra'"),
        (lambda: load_data("cifar10", image_size=0), "must be at least 1"),
        (lambda: download("cub200"), "cub200 cannot be downloaded: get CUB_200_2011.tgz"),
        (lambda: download("folder:x"), "it needs no download"),
    ],
)
def test_a_wrong_call_fails_before_any_data_is_read(call: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], str]]:
    """Serves a folder to this machine alone; gives its address."""
    monkeypatch.setenv("no_proxy", "*")
    with ExitStack() as stack:

        def serve(folder: Path) -> str:
            server = stack.enter_context(HTTPServer(("127.0.0.1", 0), partial(_Silent, directory=folder)))
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield serve


def test_a_download_is_unpacked_checked_and_ready(
    made: Callable[[str], Path], served: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("cifar10") / "cifar10" / "cifar-10-batches-py"
    archive = tmp_path / "published.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, folder.name)
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{served(tmp_path)}/{archive.name}")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive.read_bytes()))
    elsewhere = tmp_path / "elsewhere"
    assert state(CATALOGUE["cifar10"], elsewhere) == "can be downloaded"
    download("cifar10", elsewhere)
    assert state(CATALOGUE["cifar10"], elsewhere) == "ready"
    assert load_data("cifar10", root=elsewhere).labels.tolist() == [0, 1, 0, 1]
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(b"another file"))
    with pytest.raises(DataError, match="cifar10 could not be downloaded"):
        download("cifar10", tmp_path / "third")
    assert state(CATALOGUE["cifar10"], tmp_path / "third") == "can be downloaded"


def test_a_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(datasets, "CIFAR10", offline)
    with pytest.raises(DataError, match=r"cifar10 could not be downloaded \(no network\); .*cifar-10-python.tar.gz"):
        download("cifar10", tmp_path)


def test_digits_at_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "test", 20)
    small, own = (load_data("cluttered_digits", "test", image_size=size) for size in (16, None))
    assert own.masks is not None
    assert small.masks is not None
    assert small.images.shape == (20, 16, 16, 3)
    halves = own.masks.reshape(20, 16, 2, 16, 2)
    assert (halves.any((2, 4)) >= small.masks).all()
    assert (halves.all((2, 4)) <= small.masks).all()
    assert (small.labels == own.labels).all()


def test_the_verb_lists_every_set_with_its_state(
    made: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = made("cub200")
    assert run(["data", "--data-root", str(root), "--json"]) == 0
    states = {facts["name"]: facts["state"] for facts in json.loads(capsys.readouterr().out)["sets"]}
    assert states["cub200"] == states["cluttered_digits"] == "ready"
    assert states["cifar10"] == "can be downloaded"
    assert states["scene67"] == "to be placed by hand"
    assert run(["data", "--data-root", str(root)]) == 0
    table = capsys.readouterr().out
    assert all(name in table for name in CATALOGUE)
    assert "TrainImages.txt" in table


@pytest.mark.parametrize("name", ["oxford_pets", "caltech101"])
def test_the_verb_shows_a_set(
    name: str, made: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = made(name)
    sheet = tmp_path / "sheet.png"
    call = ["data", name, "--split", "test", "--data-root", str(root), "--out", str(sheet)]
    assert run([*call, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    data: ImageSet = load_data(name, "test", root=root)
    assert shown["images"] == len(data)
    assert shown["class_counts"] == dict(zip(data.classes, data.class_counts.tolist(), strict=True))
    assert shown["mean"] == pytest.approx(data.images.mean((0, 1, 2)) / 255, abs=1e-4)
    assert shown["std"] == pytest.approx((data.images / 255).std((0, 1, 2)), abs=1e-4)
    with Image.open(sheet) as drawn:
        assert drawn.width > 8 * 160
    assert run(call) == 2
    assert "sheet.png: this file is there already" in capsys.readouterr().err
    sheet.unlink()
    assert run(call) == 0
    assert data.classes[0] in capsys.readouterr().out


def test_the_verb_lists_what_was_left_out(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pets / "cat" / "1.png").write_bytes(b"")
    call = ["data", f"folder:{pets}", "--out", str(tmp_path / "sheet.png")]
    assert run(call) == 0
    assert "1.png: the file is empty" in capsys.readouterr().err
    (tmp_path / "sheet.png").unlink()
    assert run([*call, "--strict"]) == 1
    assert run(["data", "--strict"]) == 2
    assert run(["data", f"folder:{pets}", "--out", "sheet.txt"]) == 2
    assert "the picture is a .png" in capsys.readouterr().err
    assert run(["data", f"folder:{pets}", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "folder-train.png").exists()


def test_real_sets(real_data: Path) -> None:
    """The published counts of what is there, and CIFAR-100's published channel means (of the exact copy)."""
    train = load_data("cifar100", root=real_data)
    assert len(train) == 50_000
    assert set(train.class_counts) == {500}
    means = train.images.reshape(-1, 3).mean(0) / 255
    assert means == pytest.approx([0.5071, 0.4865, 0.4409], abs=1e-4)
    assert len(load_data("cifar10", "test", root=real_data)) == 10_000
