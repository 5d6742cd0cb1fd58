"""`--engine` of `maps` and `predict`: more pictures than one looks through, as rows in shards."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from payattention.errors import UsageError
from payattention.system.names import check_known

if TYPE_CHECKING:
    from payattention.explaining.corpus.questions import Asked
    from payattention.explaining.corpus.writing import Engine, Outcome
    from payattention.weights.named import NamedModel

ENGINES = ("local", "ray")
_ERRORS = 20  # that are shown
_SHOWN = 1000  # pictures of a page

EngineOption = Annotated[
    str | None,
    typer.Option(
        metavar="local|ray",
        help="For very many pictures: IMAGE is one source (a folder, a .txt list of paths, .parquet files with images, "
        "or WebDataset's .tar files), and --out a folder of parquet shards with a row a picture, which goes on where "
        "it was stopped. local: this process; ray: Ray's workers, here or on a cluster.",
        show_default=False,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Of --engine ray: the cluster; by default RAY_ADDRESS, else this machine alone.", show_default=False
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Of --engine ray: processes with a model each, of --threads threads (by default 1); by default as many as "
        "there are cores, or GPUs.",
        show_default=False,
    ),
]
ShardSizeOption = Annotated[
    int | None,
    typer.Option(min=1, help="Of --engine: pictures of a shard; by default 512.", show_default=False),
]
LimitRateOption = Annotated[
    float | None,
    typer.Option(
        min=0.01, help="Of --engine: read at most so many pictures a second, for disks of others.", show_default=False
    ),
]


@dataclass(frozen=True)
class CorpusOptions:
    """The options above, as they were given."""

    engine: str | None
    address: str | None = None
    workers: int | None = None
    shard_size: int | None = None
    limit_rate: float | None = None

    def asked_for(self, without: dict[str, Any], within: dict[str, Any]) -> bool:
        """Whether a corpus is asked for.

        Args:
            without: The verb's options that have no meaning then, by name, as they were given; None or False if not.
            within: Those of its own that have a meaning only then.

        Raises:
            UsageError: An unknown engine, or options that do not go together.
        """
        if self.engine is None:
            own = {"address": self.address, "workers": self.workers, "shard-size": self.shard_size}
            for name, value in ({**own, "limit-rate": self.limit_rate} | within).items():
                if value not in (None, False):
                    raise UsageError(f"--{name} is of a corpus: give --engine local or --engine ray, too")
            return False
        check_known("engine", ENGINES, self.engine)
        for name, value in without.items():
            if value not in (None, False):
                raise UsageError(f"--{name} is not of a corpus: leave it out, or --engine")
        if self.engine == "local" and (self.address is not None or self.workers is not None):
            name = "address" if self.workers is None else "workers"
            raise UsageError(f"--{name} is of --engine ray; this process takes as many cores as --threads says")
        if self.engine == "ray":
            from payattention.system.extras import check_there

            check_there("--engine ray", "ray")
        return True


def write(
    run: "NamedModel",
    sources: Sequence[Path],
    out: Path | None,
    asked: "Asked",
    options: CorpusOptions,
    *,
    html: Path | None = None,
    as_json: bool = False,
) -> None:
    """Writes or goes on with a corpus's folder, and tells what is in it; `asked` but for device and precision."""
    from payattention.cli.output import print_json, print_left_out, print_page, progress_console
    from payattention.cli.reading import loaded
    from payattention.explaining.corpus.sources import Corpus
    from payattention.explaining.corpus.writing import errors_of, write_corpus
    from payattention.system.machine import choice

    if len(sources) != 1:
        raise UsageError("--engine takes a model and one source: a folder, a .txt list, .parquet files, or .tar files")
    if out is None:
        raise UsageError("--engine wants --out, a folder: a corpus that is stopped goes on there")
    console = progress_console()
    console.print("looking for pictures")
    corpus = Corpus.of(sources[0])
    outcome = write_corpus(
        loaded(run),
        corpus,
        replace(asked, device=choice().device, precision=choice().precision),
        out,
        engine=_engine(run, options),
        shard_size=options.shard_size,
        rate=options.limit_rate,
        console=console,
    )
    errors = errors_of(out, outcome.manifest, _ERRORS)
    if html is not None:
        from payattention.explaining.corpus.reading import read_maps
        from payattention.figures.gallery import gallery_of_rows

        shown = gallery_of_rows(read_maps(out), html, title=run.title, most=_SHOWN)
    if as_json:
        print_json(_facts(out, outcome, errors) | ({} if html is None else {"html": str(html)}))
        return
    print_left_out(corpus.left_out)
    _tell(out, outcome, errors)
    if html is not None:
        print_page(html, shown)


def _engine(run: "NamedModel", options: CorpusOptions) -> "Engine":
    if options.engine == "ray":
        from payattention.explaining.corpus.over_ray import OverRay
        from payattention.system.machine import choice

        return OverRay(run, options.address, options.workers, choice().threads or 1)
    from payattention.explaining.corpus.writing import local

    return local


def _facts(out: Path, outcome: "Outcome", errors: list[str]) -> dict[str, Any]:
    manifest = outcome.manifest
    return {
        "out": str(out),
        "pictures": manifest.inputs,
        "rows": manifest.rows,
        "rows_before": outcome.before,
        "errors": manifest.errors,
        "first_errors": errors,
        "shards": len(manifest.shards),
        "left_out": [*manifest.left_out],
        "seconds": outcome.seconds,
        "pictures_per_second": round(outcome.rate, 2),
    }


def _tell(out: Path, outcome: "Outcome", errors: list[str]) -> None:
    manifest = outcome.manifest
    for line in errors:
        print(f"error: {line}", file=sys.stderr)
    if manifest.errors > len(errors):
        print(f"errors in all: {manifest.errors:,}", file=sys.stderr)
    before = f", {outcome.before:,} of them from before" if outcome.before else ""
    done = f", {outcome.rate:,.1f} pictures/s" if outcome.before < manifest.rows else ""
    print(
        f"{manifest.rows:,} rows for {manifest.inputs:,} pictures{before}; {manifest.errors:,} with an error{done}: "
        f"{len(manifest.shards):,} shards in {out}"
    )
