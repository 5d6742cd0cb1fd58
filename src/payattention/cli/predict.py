"""`payattention predict`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from payattention.cli.computing import computes
from payattention.cli.corpus import (
    AddressOption,
    CorpusOptions,
    EngineOption,
    LimitRateOption,
    ShardSizeOption,
    WorkersOption,
)
from payattention.cli.corpus import write as write_corpus
from payattention.cli.model_argument import of_a_model_and_pictures
from payattention.cli.options import DataRootOption, JsonOption, check_file
from payattention.errors import UsageError, none_of
from payattention.system.files import replacing

if TYPE_CHECKING:
    from rich.console import Console

    from payattention.models import Classifier
    from payattention.models.prediction import Prediction
    from payattention.pictures.finding import Named
    from payattention.weights.named import NamedModel

_LIST = Path("-")


@computes
@of_a_model_and_pictures
def predict(
    run: "NamedModel",
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Picture files, or folders, which are looked through to the bottom; - for a list of them on standard "
            "input, one a line.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes are told of each picture.")] = 5,
    unsure: Annotated[
        float,
        typer.Option(metavar="BELOW", help="A class whose probability, 0 to 1, lies below this is told as unsure."),
    ] = 0.0,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="The list has NUL bytes between paths (find -print0).")
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="csv|jsonl",
            help="CSV, or a JSON object a line; by default what the name of --out ends in, else csv.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to; by default standard output. With --engine, a folder.", show_default=False
        ),
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="First make probabilities honest, for good: fit a temperature to pictures that the model was not "
            "trained on: held-out, what its run held out; or folder:PATH and the like. off: as trained.",
            show_default=False,
        ),
    ] = None,
    data_root: DataRootOption = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="A picture that cannot be read is an error; else it is left out and listed."),
    ] = False,
    engine: EngineOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    shard_size: ShardSizeOption = None,
    limit_rate: LimitRateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is in your pictures: the most probable classes, as CSV or JSON lines.

    With --engine, for very many pictures: rows in parquet shards instead (docs/corpus.md).
    """
    from payattention.cli.calibration import calibrated, check_calibration
    from payattention.cli.output import print_json, progress_console
    from payattention.cli.reading import loaded
    from payattention.figures.predictions import FORMATS, UNSURE, check_unsure, label_of, record

    corpus = CorpusOptions(engine, address, workers, shard_size, limit_rate)
    of_pictures = {"unsure": unsure or None, "null": null, "format": kind, "calibrate": calibrate, "strict": strict}
    if corpus.asked_for(of_pictures, {}):
        from payattention.explaining.corpus.questions import Asked

        run.check()
        write_corpus(run, pictures or [], out, Asked("predict", top=top), corpus, as_json=as_json)
        return
    kind = kind or ("jsonl" if out is not None and out.suffix in (".jsonl", ".json") else "csv")
    _ = FORMATS[kind]
    _check_call(pictures, out, null, calibrate)
    known = run.check()
    check_unsure(unsure, () if known is None else known.classes)
    if calibrate is not None:
        check_calibration(_run_to_calibrate(run), calibrate, data_root)
    named = _named(pictures, null) if pictures else None
    model = loaded(run)
    check_unsure(unsure, model.classes)
    told: dict[str, Any] = {"model": model.name}
    if calibrate is not None:
        aside = as_json or bool(pictures)
        told["calibration"] = calibrated(model, _run_to_calibrate(run), calibrate, data_root, aside=aside)
    told["temperature"] = model.temperature
    if named is not None:
        shows = out is not None or as_json or not sys.stdout.isatty()  # on a terminal the lines show how far it is
        records: list[dict[str, Any]] = []
        count, unsure_count, skipped = 0, 0, list(named.left_out.values())
        with _opened(out) as file:
            write = FORMATS[kind](file, min(top, model.config.num_classes), unsure)
            for found, problems in _found(model, named, top, strict, progress_console() if shows else None):
                if as_json and out is None:
                    records += [record(one, unsure) for one in found]
                elif found:
                    write(found)
                    file.flush()
                count += len(found)
                unsure_count += [label_of(one, unsure) for one in found].count(UNSURE)
                skipped += problems
            if not count:
                raise none_of("the pictures", "read", skipped[0])
        told |= {"count": count, "unsure_below": unsure, "unsure": unsure_count, "skipped": skipped}
        told |= {"predictions": records} if out is None else {"out": str(out)}
        _tell(told)
    if as_json:
        print_json(told)


def _tell(told: dict[str, Any]) -> None:
    """On standard error, what was left out, and how many were unsure."""
    from payattention.cli.output import print_left_out

    print_left_out(told["skipped"])
    if told["unsure_below"]:
        print(f"unsure: {told['unsure']:,} of {told['count']:,} pictures", file=sys.stderr)


def _named(pictures: list[Path], null: bool) -> "Named":
    from payattention.pictures.finding import listed_pictures, picture_files

    named = picture_files([path for path in pictures if path != _LIST])
    return named | listed_pictures(sys.stdin.buffer.read(), null=null) if _LIST in pictures else named


def _found(
    model: "Classifier", named: "Named", top: int, strict: bool, console: "Console | None"
) -> "Iterator[tuple[list[Prediction], list[str]]]":
    """Predictions and what cannot be read, when it is sure that what has to be readable is."""
    from payattention.explaining.predicting import predicted
    from payattention.pictures.finding import unreadable

    first = named if strict else named.themselves
    if first.files or first.left_out:
        unreadable(first, strict, channels=model.in_channels)
    yield from predicted(model, list(named.files), top=top, console=console)


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there when all of it is written."""
    if out is None:
        yield sys.stdout
        return
    with replacing(out) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield file


def _run_to_calibrate(model: "NamedModel") -> Path:
    try:
        return model.run
    except UsageError:
        raise UsageError(
            f"{model.text} has no run folder, in which a temperature could be kept: --calibrate is of runs, and of "
            "files that you saved"
        ) from None


def _check_call(pictures: list[Path] | None, out: Path | None, null: bool, calibrate: str | None) -> None:
    """Raises UsageError for what can be seen to be wrong before anything is read."""
    if not pictures and calibrate is None:
        raise UsageError("name pictures: files, folders, or - for a list of them on standard input")
    if null and _LIST not in (pictures or []):
        raise UsageError("--null is of the list on standard input: name it as -")
    if out is not None:
        if not pictures:
            raise UsageError(f"--out {out}: this is for predictions: name pictures, too")
        check_file("--out", out)
