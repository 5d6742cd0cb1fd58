"""`payattention compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payattention.cli.computing import computes
from payattention.cli.model_argument import of_a_model
from payattention.cli.options import (
    AverageOption,
    ClassesOption,
    DataRootOption,
    JsonOption,
    LimitOption,
    OutOption,
    SplitOption,
    StrictOption,
    ToleranceOption,
    check_file,
    names_in,
    new_folder,
)

if TYPE_CHECKING:
    from payattention.weights.named import NamedModel


@computes
@of_a_model
def compare(
    run: "NamedModel",
    data: Annotated[
        str | None,
        typer.Option(help="Data set with masks; by default the one the run was trained on.", show_default=False),
    ] = None,
    data_root: DataRootOption = None,
    split: SplitOption = "test",
    classes: ClassesOption = None,
    limit: LimitOption = None,
    costly: Annotated[
        int,
        typer.Option(
            min=2,
            help="At most so many pictures, evenly from the classes, for what takes many forward passes a picture: "
            "deletion and insertion of every map (34), Score-CAM (one a channel), Ablation-CAM (one a channel from the "
            "layer on), occlusion (49), RISE (1,000), SmoothGrad and integrated gradients (50, and back).",
        ),
    ] = 100,
    minutes: Annotated[
        float,
        typer.Option(
            min=0,
            help="About so many minutes at most for all of that together: it is done for as many pictures as there is "
            "time for, the same for all maps, at least one. What takes few passes is done for all pictures anyway.",
        ),
    ] = 9,
    methods: Annotated[
        str,
        typer.Option(
            metavar="fast|all|A,B,...",
            help="Post-hoc methods that the model and the installed extras allow: all, fast (those of few forward "
            "passes), or by name: activation, eigen_cam, attention_rollout, gradient_attention (both of vision "
            "transformers), cam, grad_cam, grad_cam_plus_plus, xgrad_cam, hires_cam, "
            "layer_cam, gradient, input_x_gradient, guided_backprop, smooth_grad, integrated_gradients, score_cam, "
            "ablation_cam, occlusion, rise.",
        ),
    ] = "all",
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="black|mean|blur",
            help="What stands in place of the pixels that a method takes away; by default each method's own: the "
            "picture's mean colour for Score-CAM, occlusion and RISE, black for integrated gradients.",
            show_default=False,
        ),
    ] = None,
    average: AverageOption = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="all|A,B,...",
            help="Further columns, in a table of their own: roc_auc, rank_accuracy, pooled_average_precision and gini "
            "of all pictures; and of those that --costly and --minutes allow, box_accuracy, road (10 passes, and as "
            "many pictures filled in), infidelity and faithfulness (128 passes for all maps together), sensitivity "
            "(every map made 11 times more).",
            show_default=False,
        ),
    ] = None,
    tolerance: ToleranceOption = 2,
    strict: StrictOption = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html|.md",
            help="Write one page to read: which map for which question, with the evidence and a few pictures.",
            show_default=False,
        ),
    ] = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold trained maps against post-hoc ones, by every metric.

    Every map of the model, of post-hoc methods asked for the predicted class, and of trivial baselines: where it peaks,
    how much of it lies on the object, whether the class goes and comes with its pixels. docs/maps.md explains the
    columns. Needs a data set with object masks; integrated gradients need the extra `posthoc`.

    Writes compare.json and compare.png, a sheet of maps; and with --report a page that says which map is for which
    question.
    """
    from payattention.cli.output import print_class_notes, print_json, print_result, progress_console
    from payattention.cli.reading import Source, check_data, check_has_masks, loaded, read_for
    from payattention.system.files import write_json, write_picture
    from payattention.system.text import shown

    folder = new_folder(out, f"compare-{run.title}")
    if report is not None:
        check_file("--report", report, ".html", ".htm", ".md")
        if report.suffix.lower() == ".md":
            check_file("--report", report.with_suffix(".png"))  # its sheet of maps
    run.check()
    source = Source.of(run, data, data_root)
    name = source.name
    check_has_masks(name)
    check_data(name, split)

    from payattention.evaluation.comparison.sources import sources
    from payattention.evaluation.comparison.table import further_metrics

    further, chosen = further_metrics(names_in(metrics)), names_in(methods)
    model = loaded(run, average)
    sources(model, chosen, baseline=baseline)  # refuses what is unknown before any data is read
    images = read_for(model, source, split, strict=strict, classes=classes, limit=limit)

    from payattention.evaluation.comparison.budget import Bound
    from payattention.evaluation.comparison.table import compare as measure
    from payattention.figures.comparison import map_sheet, write_page

    result = measure(
        model,
        images,
        methods=chosen,
        baseline=baseline,
        costly=Bound(costly, minutes),
        metrics=further,
        tolerance=tolerance,
        console=progress_console(),
    )
    write_json(folder / "compare.json", result.as_json())
    write_picture(folder / "compare.png", map_sheet(model, images, result))
    if report is not None:
        write_page(report, model, images, result)
    print_class_notes(result)
    if as_json:
        print_json({"out": str(folder), **result.as_json()})
        return
    print_result(result)
    print(f"sheet of maps: {folder / 'compare.png'}")
    if report is not None:
        print(f"page: {shown(report)}")
