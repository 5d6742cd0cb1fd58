"""`payattention maps`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from payattention.cli.options import (
    AverageOption,
    HtmlOption,
    JsonOption,
    MethodOption,
    OutOption,
    RefineOption,
    SizeOption,
    StrictOption,
    TargetOption,
    check_page,
    new_folder,
)

if TYPE_CHECKING:
    from payattention.weights.named import NamedModel


@computes
@of_a_model_and_pictures
def maps(
    run: "NamedModel",
    pictures: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE",
            help="Picture files, or folders, which are looked through to the bottom.",
            show_default=False,
        ),
    ],
    method: MethodOption = None,
    target: TargetOption = None,
    size: SizeOption = None,
    average: AverageOption = None,
    refine: RefineOption = None,
    style: Annotated[
        str | None,
        typer.Option(
            metavar="heat|dim|contour",
            help="How maps are drawn: as colours over the greyed picture (heat, the default); the picture in its own "
            "colours, dark where the map is low, with a line at half the map's height; or lines alone.",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            metavar="own|fixed",
            help="How maps become colours: each from its least to its greatest value, or the values as they are, from "
            "0 to 1.",
        ),
    ] = "own",
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="overlays|sheet|raw",
            help="What to write, by default overlays,sheet: each map over its picture, at the picture's size; pages of "
            "all pictures; the maps as arrays (.npy), with masks and all probabilities. May be repeated.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="png|jpg|webp", help="Of overlays and sheets; by default png.", show_default=False),
    ] = None,
    flat: Annotated[
        bool, typer.Option("--flat", help="All files in one folder (cat.layer10.png), not in a folder a picture.")
    ] = False,
    strict: StrictOption = False,
    html: HtmlOption = None,
    out: OutOption = None,
    engine: EngineOption = None,
    overlays: Annotated[
        bool, typer.Option("--overlays", help="Of --engine: the combined map over each picture, too, as files.")
    ] = False,
    address: AddressOption = None,
    workers: WorkersOption = None,
    shard_size: ShardSizeOption = None,
    limit_rate: LimitRateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where a model looks in your pictures.

    Writes pages of all pictures with their maps, what the model says of each, and of those in a folder of a class's
    name whether that is right (sheet.png, ...); each map over its picture at the picture's own size (pictures/); and
    manifest.json. With --html, one page instead; with --html and --out, both.

    With --engine, for very many pictures: rows in parquet shards instead (docs/corpus.md).
    """
    from payattention.cli.output import print_json, print_left_out, print_page, print_table, progress_console
    from payattention.cli.reading import loaded
    from payattention.errors import UsageError
    from payattention.explaining.methods import as_target, check_asked, check_average, check_method, check_refinement
    from payattention.explaining.output_form import OutputForm
    from payattention.pictures.drawing import check_scale
    from payattention.pictures.finding import picture_files, unreadable

    if not pictures:
        raise UsageError("name pictures, too: files, or folders")
    check_scale(scale)
    check_page(html)
    check_average(average, method, target)
    check_refinement(refine)
    if refine is not None and html is not None:
        raise UsageError("--html draws the maps in the browser, as they are: leave --refine out, or --html")
    form = OutputForm.asked(only, style, format, flat)
    corpus = CorpusOptions(engine, address, workers, shard_size, limit_rate)
    of_pictures = {"refine": refine, "only": only, "flat": flat, "strict": strict, "scale": scale != "own"}
    if not overlays and engine is not None:
        of_pictures |= {"style": style, "format": format}
    of_corpus = corpus.asked_for(of_pictures, {"overlays": overlays})
    folder = Path() if of_corpus else new_folder(out, f"maps-{run.title}")
    if (known := run.check()) is not None:
        check_asked(known, method, None if target is None else as_target(target, known.classes))
    elif method is not None:
        check_method(method)
    if of_corpus:
        from payattention.explaining.corpus.questions import Asked

        by_number = None if target is None else as_target(target, () if known is None else known.classes)
        asked_of_all = Asked("maps", size=size, method=method, target=by_number, average=average)
        if overlays:
            asked_of_all = replace(asked_of_all, style=form.style, format=format or "jpg")
        write_corpus(run, pictures, out, asked_of_all, corpus, html=html, as_json=as_json)
        return
    files = picture_files(pictures)

    from payattention.explaining.folder import write_maps
    from payattention.explaining.request import Request

    model, console = loaded(run, average), progress_console()
    asked = None if target is None else as_target(target, model.classes)
    request = Request.of(model, size=size, target=asked, method=method, scale=scale, refine=refine)
    if html is not None:
        from payattention.figures.gallery import check_one_class, gallery_of_files, requests_of

        requests = [request] if method or target else requests_of(model, size=size, scale=scale)
        check_one_class(requests)
        skipped = unreadable(files, strict, channels=model.in_channels)
        readable = [file for file in files.files if file not in skipped]
        gallery_of_files(requests, readable, html, title=run.title, style=form.style, console=console)
        if out is None:
            print_left_out([*skipped.values()])
            if as_json:
                print_json({"html": str(html), "pictures": len(readable), "skipped": [*skipped.values()]})
                return
            print_page(html, len(readable))
            return
    manifest = write_maps(request, files, folder, form=form, strict=strict, console=console)
    print_left_out(manifest["skipped"])
    if as_json:
        print_json({"out": str(folder), **manifest})
        return
    rows = [(p["picture"], p["label"], f"{p['probability']:.1%}", p["true_class"] or "") for p in manifest["pictures"]]
    told = any(p["true_class"] for p in manifest["pictures"])
    columns = ("picture", "looks like", "probability", "is")
    print_table(columns[: 3 + told], [row[: 3 + told] for row in rows])
    if manifest["sheets"]:
        print("contact sheet: " + ", ".join(str(folder / name) for name in manifest["sheets"]))
    else:
        print(f"written to: {folder}")
    if html is not None:
        print_page(html, len(manifest["pictures"]))
