"""Device, precision and threads: chosen, recorded, and the same everywhere; what a machine lacks is one line."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.cli.app import run
from payattention.data import ImageSet
from payattention.data.masked import MaskedPictures
from payattention.data.samples import Sample
from payattention.evaluation import classify, segment
from payattention.explaining.folder import write_maps
from payattention.explaining.request import Request
from payattention.models import Classifier
from payattention.models.evaluating import evaluating
from payattention.pictures.finding import picture_files
from payattention.runs.config import RunConfig
from payattention.runs.experiment import resume, train_and_test
from payattention.system import cores
from payattention.system.cores import are_to_be_set, busy, cpu_quota, default_threads, usable_cores
from payattention.system.machine import (
    Precision,
    abilities,
    autocast,
    chosen_device,
    chosen_options,
    chosen_threads,
    describe,
    device_of,
    measuring_precision,
    recorded_precision,
    training_precision,
)
from payattention.system.workers import computed_in_order, in_order
from payattention.training.recipe import Recipe
from payattention.training.stopping import Stopped

COMPUTING = ("quickstart", "train", "evaluate", "maps", "segment", "query", "compare", "probe", "attack", "transfer",
             "figure", "benchmark", "reproduce")  # fmt: skip
CPU = torch.device("cpu")
SMALL = 0.0625
NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU here")


def recipe(**fields: object) -> Recipe:
    return Recipe(**({"summary": "test", "epochs": 2, "batch_size": 8, "lr": 0.05} | fields))


class TestPrecision:
    @pytest.mark.float32
    def test_a_cpu_computes_in_float32_whatever_it_can_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for able in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, able, lambda: True)
        with pa.computing(device="cpu"):
            assert training_precision() == measuring_precision() == "float32"

    @pytest.mark.float32
    def test_a_gpu_trains_in_bf16_and_measures_in_float32(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
        assert chosen_device().type == "cuda"
        assert (training_precision(), measuring_precision()) == ("bf16", "float32")
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
        assert training_precision() == "float32"

    @pytest.mark.filterwarnings("ignore:bf16 is slower")
    def test_the_network_computes_in_what_was_chosen(self, model: Classifier, images: torch.Tensor) -> None:
        with torch.no_grad():
            assert model(images).dtype == torch.float32
            with pa.computing(precision="bf16"), evaluating(model):
                assert model(images).dtype == torch.bfloat16
            with pa.computing(precision="bf16"), pa.computing(precision="float32"), evaluating(model):
                assert model(images).dtype == torch.float32

    @pytest.mark.parametrize(("seconds", "slower"), [({torch.bfloat16: 2.0}, True), ({torch.float32: 2.0}, False)])
    def test_bf16_that_is_slower_is_said_once(
        self, seconds: dict[torch.dtype, float], slower: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The clock stands for a processor: it goes faster or slower by what is multiplied."""
        now = [0.0]

        def multiplied(a: torch.Tensor, b: torch.Tensor) -> None:
            now[0] += seconds.get(a.dtype, 1.0)

        monkeypatch.setattr(torch, "mm", multiplied)
        monkeypatch.setattr(time, "perf_counter", lambda: now[0])
        if slower:
            with pytest.warns(UserWarning, match=r"takes 2\.0 times as long") as warned, pa.computing(precision="bf16"):
                pass
            assert len(warned) == 1
            assert warned[0].filename == __file__
        else:
            with pa.computing(precision="bf16"):
                pass

    def test_early_runs_have_lightnings_names(self) -> None:
        names = ("32-true", "bf16-mixed", "float32", "bf16")
        assert [recorded_precision(name) for name in names] == ["float32", "bf16", "float32", "bf16"]

    def test_autocast_does_nothing_in_float32(self) -> None:
        with autocast(CPU, "float32"):
            assert not torch.is_autocast_enabled("cpu")


class TestChoice:
    @pytest.mark.parametrize(
        ("choice", "message"),
        [
            ({"device": "gpu"}, r"unknown device 'gpu'; did you mean 'cpu'"),
            ({"device": "cuda:0"}, r"unknown device 'cuda:0'; did you mean 'cuda'"),
            ({"precision": "fp32"}, r"unknown precision 'fp32'; there are: auto, bf16, float32|did you mean"),
            ({"precision": "float16"}, r"unknown precision 'float16'; did you mean 'float32'"),
            ({"threads": 0}, r"threads is 0: at least 1 has to do the work"),
        ],
    )
    def test_what_no_machine_has_is_one_line(self, choice: dict[str, object], message: str) -> None:
        with pytest.raises(pa.PayAttentionError, match=message), pa.computing(**choice):
            pass

    @NO_GPU
    def test_a_missing_device_is_one_line(self) -> None:
        with pytest.raises(pa.PayAttentionError, match=r"there is no CUDA device here .*: take cpu, or auto"):
            pa.computing(device="cuda").__enter__()
        if not torch.backends.mps.is_available():
            with pytest.raises(pa.PayAttentionError, match=r"there is no MPS device here"):
                pa.computing(device="mps").__enter__()
        assert chosen_device() == CPU  # nothing of it stays

    def test_a_gpu_without_bf16_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla P100")
        with pytest.raises(pa.PayAttentionError, match="Tesla P100 has no bf16 arithmetic: take float32"):
            pa.computing(precision="bf16").__enter__()

    @pytest.mark.float32
    def test_what_is_left_out_stays_as_it_was(self) -> None:
        before = torch.get_num_threads()
        with pa.computing(threads=2):
            with pa.computing(device="cpu"):
                assert (torch.get_num_threads(), chosen_threads(), chosen_device()) == (2, 2, CPU)
                assert chosen_options("device", "precision", "threads") == ["--device", "cpu", "--threads", "2"]
            with pa.computing(threads=3):
                assert torch.get_num_threads() == 3
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == before

    def test_a_model_looks_where_it_is_unless_a_device_was_named(self) -> None:
        model = torch.nn.Linear(1, 1, device="meta")
        assert device_of(model).type == "meta"
        with pa.computing(device="cpu"):
            assert device_of(model) == CPU

    @pytest.mark.parametrize("verb", COMPUTING)
    def test_every_verb_takes_it(self, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run([verb, "--help"]) == 0
        text = capsys.readouterr().out
        for option in ("--device auto|cpu|cuda|mps", "--precision auto|float32|bf16", "--threads <int"):
            assert option in " ".join(text.split())

    @pytest.mark.parametrize(
        "words", [["maps", "x", "y"], ["train", "--data", "folder:nowhere"], ["compare", "x"], ["benchmark"]]
    )
    def test_a_wrong_one_is_found_before_anything_else(
        self, words: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run([*words, "--device", "tpu"]) == 2
        assert "unknown device 'tpu'" in capsys.readouterr().err


class TestRuns:
    @pytest.mark.float32
    def test_a_run_records_what_it_took_and_resumes_with_it(
        self, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out, seen = tmp_path / "run", []
        with pa.computing(threads=2):
            _trained_but_not_measured(image_set, out, monkeypatch)
        config = json.loads((out / "config.json").read_text())
        assert (config["device"], config["precision"], config["threads"]) == (chosen_device().type, "float32", 2)

        def noted(*given: object, **named: object) -> object:
            seen.append((torch.get_num_threads(), training_precision()))
            return classify(*given, **named)  # type: ignore[arg-type]

        monkeypatch.setattr("payattention.runs.experiment.classify", noted)
        _, result = resume(out, image_set, image_set)
        assert seen == [(2, "float32")]
        assert (result["device"], result["precision"], result["threads"]) == (config["device"], "float32", 2)

    def test_threads_can_be_chosen_anew(
        self, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out, seen = tmp_path / "run", []
        _trained_but_not_measured(image_set, out, monkeypatch)
        monkeypatch.setattr(
            "payattention.runs.experiment.classify", lambda *_, **__: seen.append(torch.get_num_threads())
        )
        with pa.computing(threads=3), pytest.raises(AttributeError):
            resume(out, image_set, image_set)
        assert seen == [3]

    @NO_GPU
    def test_a_run_of_a_device_that_is_not_here_says_so(
        self, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "run"
        _trained_but_not_measured(image_set, out, monkeypatch)
        config = json.loads((out / "config.json").read_text())
        (out / "config.json").write_text(json.dumps(config | {"device": "cuda", "precision": "bf16-mixed"}))
        with pytest.raises(pa.PayAttentionError, match=r"run was begun on cuda, in bf16: there is no CUDA device here"):
            resume(out, image_set, image_set)
        with pa.computing(device="cpu"):
            assert resume(out, image_set, image_set)[1]["test"]["count"] == len(image_set)

    @pytest.mark.filterwarnings("ignore:bf16 is slower")
    def test_a_run_in_bf16_is_measured_in_float32(self, image_set: ImageSet, tmp_path: Path) -> None:
        with pa.computing(device="cpu", precision="bf16"):
            model, result = train_and_test(
                RunConfig("vgg_att_pc", recipe(), width=SMALL), image_set, image_set, tmp_path / "run"
            )
        assert result["precision"] == "bf16"
        assert result["convolutions"] == "direct"
        assert result["test"]["error"] == classify(model, image_set).error


def _trained_but_not_measured(data: ImageSet, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("payattention.runs.experiment.classify", interrupted)
        with pytest.raises(Stopped):
            train_and_test(RunConfig("vgg", recipe(), width=SMALL), data, data, out)


class TestCores:
    def test_affinity_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
        monkeypatch.setattr(cores, "cpu_quota", lambda: float("inf"))
        assert usable_cores() == 3
        monkeypatch.setattr(cores, "cpu_quota", lambda: 2.9)
        assert usable_cores() == 2
        monkeypatch.setattr(cores, "cpu_quota", lambda: 0.4)
        assert usable_cores() == 1

    @pytest.mark.parametrize(
        ("groups", "files", "quota"),
        [
            ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
            ("0::/\n", {"cpu.max": "max 100000\n"}, float("inf")),
            ("0::/app/job\n", {"cpu.max": "max 100000", "app/cpu.max": "200000 100000"}, 2.0),
            ("0::/app/job\n", {"app/job/cpu.max": "50000 100000", "app/cpu.max": "400000 100000"}, 0.5),
            ("4:memory:/x\n3:cpu,cpuacct:/docker\n", {"cpu/docker/cpu.cfs_quota_us": "300000\n",
                                                      "cpu/docker/cpu.cfs_period_us": "100000\n"}, 3.0),
            ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
            ("0::/\n", {"cpu.max": "nonsense"}, float("inf")),
            ("", {}, float("inf")),
        ],
    )  # fmt: skip
    def test_a_quota_is_read_from_its_group_and_those_around_it(
        self, groups: str, files: dict[str, str], quota: float, tmp_path: Path
    ) -> None:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        (tmp_path / "self").write_text(groups)
        assert cpu_quota(tmp_path / "self", tmp_path) == quota
        assert cpu_quota(tmp_path / "nowhere", tmp_path) == float("inf")

    def test_threads_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cores, "_allowed", lambda: 8)
        monkeypatch.setattr(cores, "cpu_quota", lambda: float("inf"))
        assert (default_threads(), are_to_be_set()) == (1, False)  # the tests' own OMP_NUM_THREADS
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert (default_threads(), are_to_be_set()) == (8, False)
        monkeypatch.setattr(cores, "cpu_quota", lambda: 4.0)
        assert (default_threads(), are_to_be_set()) == (4, True)
        for name, value in (("SLURM_NTASKS", "2"), ("SLURM_PROCID", "0"), ("SLURM_LOCALID", "0")):
            monkeypatch.setenv(name, value)
        assert (default_threads(), are_to_be_set()) == (1, True)

    def test_a_busy_machine_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: 2)
        monkeypatch.setattr(os, "getloadavg", lambda: (6.2, 0.0, 0.0))
        assert busy(2) == "load 6 on 2 cores: --threads 1 may be faster"
        assert busy(1) is None
        monkeypatch.setattr(os, "getloadavg", lambda: (2.1, 0.0, 0.0))  # what the last command left
        assert busy(2) is None

    @pytest.mark.parametrize(
        ("environment", "spins"), [({}, "1000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None), ({"GOMP_SPINCOUNT": "7"}, "7")]
    )
    def test_threads_sleep_soon_unless_someone_chose_otherwise(
        self, environment: dict[str, str], spins: str | None
    ) -> None:
        code = (
            "import os\n"
            "from payattention.system.cores import wait_briefly\n"
            "wait_briefly()\n"
            "print(os.environ.get('GOMP_SPINCOUNT'))"
        )
        clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
        done = subprocess.run(
            [sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(spins)

    def test_threads_asked_for_before_pytorch_is_loaded(self) -> None:
        code = (
            "import payattention as pa\n"
            "with pa.computing(threads=1):\n"
            "    import torch\n"
            "    print(torch.get_num_threads())"
        )
        clean = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "1"

    def test_a_device_is_described_by_what_it_computes_with(self) -> None:
        assert abilities()[0] == torch.backends.cpu.get_cpu_capability()
        assert f"({', '.join(abilities())}), 1 thread" in describe(CPU)


class TestWorkers:
    @pytest.mark.parametrize("workers", [1, 2, 5])
    def test_results_come_in_order(self, workers: int) -> None:
        def slow_at_first(number: int) -> int:
            time.sleep(0.02 if number % 3 == 0 else 0)
            return number * number

        assert list(in_order(slow_at_first, range(20), workers)) == [n * n for n in range(20)]
        assert list(in_order(slow_at_first, [], workers)) == []

    def test_few_are_under_way(self) -> None:
        taken: list[int] = []
        results = in_order(lambda n: n, (taken.append(n) or n for n in range(100)), 3)
        next(results)
        assert len(taken) <= 6
        results.close()
        assert len(taken) <= 6

    def test_an_error_is_the_callers_and_the_rest_is_left(self) -> None:
        begun = []

        def fails(number: int) -> int:
            begun.append(number)
            if number == 2:
                raise ValueError("two")
            return number

        results = in_order(fails, range(1000), 2)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="two"):
            list(results)
        assert len(begun) < 20

    def test_workers_see_the_callers_choice_and_leave_the_threads_as_they_were(self) -> None:
        with pa.computing(device="cpu", threads=2):
            found = list(computed_in_order(lambda _: (chosen_threads(), torch.get_num_threads()), range(6), CPU))
            assert found == [(2, 1)] * 6
            assert torch.get_num_threads() == 2
            names = set(computed_in_order(lambda _: threading.current_thread().name, range(50), CPU))
        assert threading.current_thread().name not in names

    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("precision", ["float32", "bf16"])
    @pytest.mark.parametrize("verb", ["segment", "evaluate", "maps"])
    @pytest.mark.filterwarnings("ignore:bf16 is slower")
    def test_workers_compute_in_the_precision_that_was_chosen(
        self, verb: str, precision: Precision, threads: int, image_set: ImageSet, tmp_path: Path
    ) -> None:
        model, seen = pa.create_model("vgg_att2_concat_pc", 2, SMALL), set()
        next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d)).register_forward_hook(
            lambda module, _, output: seen.add(output.dtype)
        )
        picture = np.full((32, 32, 3), 90, np.uint8)
        Image.fromarray(picture).save(tmp_path / "a.png")
        masked = MaskedPictures("m", "test", ("a", "b"), [Sample(picture, "a", 0, np.eye(32, dtype=np.bool_))])
        with pa.computing(device="cpu", precision=precision, threads=threads):
            match verb:
                case "segment":
                    segment(model, masked)
                case "evaluate":
                    classify(model, image_set)
                case "maps":
                    write_maps(Request.of(model), picture_files([tmp_path / "a.png"]), tmp_path / "out")
        assert seen == {torch.bfloat16 if precision == "bf16" else torch.float32}

    def test_a_set_is_measured_alike_by_any_number_of_threads(self, image_set: ImageSet) -> None:
        """Bit by bit: each batch is one thread's work."""
        model = pa.create_model("vgg_att2_concat_pc", 2, SMALL).eval()
        many = ImageSet(
            "many", "test", np.tile(image_set.images, (40, 1, 1, 1)), np.tile(image_set.labels, 40), ("a", "b")
        )
        from payattention.evaluation.batch_by_batch import looks

        logits = []
        for threads in (1, 2, 3):
            with pa.computing(threads=threads):
                logits.append(torch.cat([look.logits for _, look in looks(model, many, CPU)]))
        assert torch.equal(logits[0], logits[1])
        assert torch.equal(logits[0], logits[2])

    def test_maps_of_a_folder_are_the_same_by_any_number_of_threads(self, model: Classifier, tmp_path: Path) -> None:
        for k in range(9):
            pixels = np.random.default_rng(k).integers(0, 256, (40 + k, 50, 3)).astype(np.uint8)
            (tmp_path / "pictures").mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "pictures" / f"{k}.png")
        pa.save(model, tmp_path / "run")
        for threads in ("1", "3"):
            words = ["maps", str(tmp_path / "run"), str(tmp_path / "pictures"), "--out", str(tmp_path / threads)]
            assert run([*words, "--threads", threads]) == 0
        one, three = (
            {
                path.relative_to(tmp_path / threads): path.read_bytes()
                for path in (tmp_path / threads).rglob("*")
                if path.is_file() and path.name != "manifest.json"
            }
            for threads in ("1", "3")
        )
        assert one == three
        assert len(one) > 9
        manifests = [json.loads((tmp_path / threads / "manifest.json").read_text()) for threads in ("1", "3")]
        assert manifests[0]["pictures"] == manifests[1]["pictures"]


class TestEvaluating:
    """What looks at a model leaves it as it was; each evaluator is tried in tests/evaluation/test_modes.py."""

    def test_mode_device_and_gradients_are_given_back(self, model: Classifier, images: torch.Tensor) -> None:
        model.train()
        model.preprocessing.eval()
        modes = [module.training for module in model.modules()]
        model(images).sum().backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        with evaluating(model) as device:
            assert device == CPU
            assert not any(module.training for module in model.modules())
        assert [module.training for module in model.modules()] == modes
        assert all(
            torch.equal(p.grad, g)
            for p, g in zip((p for p in model.parameters() if p.grad is not None), gradients, strict=True)
        )
