"""`circlemnist predict`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from circlemnist.cli import options
from circlemnist.cli.messages import say, visible
from circlemnist.plots.kinds import PREDICTED, STILL, check_suffix
from circlemnist.process import loading
from circlemnist.runs.run import Run, find_run, is_run

if TYPE_CHECKING:
    from circlemnist.evaluation.predict import PredictedDigit, Prediction, Predictor
    from circlemnist.evaluation.report import OperatingPoint


@click.command()
@click.argument("arguments", metavar="[RUN] FILE...", type=click.Path(), nargs=-1, required=True)
@options.outputs_option
@options.setting_option("device")
@click.option(
    "--far",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="false-accept rate of the threshold between known and unknown  [default: the lowest that "
    "rejects at most 3 % of the validation images]",
)
@click.option(
    "--as-is/--prepare",
    default=None,
    help="take pictures as they are (28 x 28, light on dark), or prepare them like MNIST  "
    "[default: as-is with runs on Fashion-MNIST and KMNIST; with a folder as its pictures were; "
    "else prepare]",
)
@click.option("--one", is_flag=True, help="read only one digit in each picture")
@click.option("--json", "for_machines", is_flag=True, help="print JSON instead of lines")
@options.out_option(
    "draw the digits and their nearest training images into a .png, .svg or .pdf file; at "
    f"most the first {PREDICTED} digits",
    dir_okay=False,
)
@options.theme_option
def predict(
    arguments: tuple[str, ...],
    outputs: Path,
    device: str,
    far: float | None,
    as_is: bool | None,
    one: bool,
    for_machines: bool,
    out: Path | None,
    theme: str,
) -> None:
    """Classify pictures of your own, with one digit or several.

    RUN is the name or folder of a run, by default the newest. FILE is a picture, a folder of
    pictures, or - for standard input. Pictures are prepared like those of MNIST, and digits are
    read in rows from the top.

    A line has the class, the votes of the 20 nearest training images, the similarity to the
    nearest, the typicality, and whether it is known: above the threshold for --far.

    \b
    Examples:
      circlemnist predict my_digit.png
      circlemnist predict default scans/ --json
      circlemnist predict photo.jpg --out seen.png
    """
    run, files = run_and_files(outputs, arguments)
    options.refuse_unused_flags()
    if out is not None:
        check_suffix(out, STILL, "draw")
    with loading():
        from circlemnist.evaluation.predict import Predictor

        predictor = Predictor(run, device)
    point = predictor.point(far)
    shown: list[PredictedDigit] = []
    rows, failed, count = list[dict[str, object]](), False, 0
    for picture in predictor.predict_files(files, point.threshold, as_is, one):
        if isinstance(picture, str):
            failed = True
            say(f"Error: {visible(picture)}")
            continue
        count += len(picture)
        shown += picture[: PREDICTED - len(shown)] if out is not None else []
        if for_machines:
            rows += [{"file": digit.name, **asdict(digit.prediction)} for digit in picture]
        else:
            click.echo(lines_of(picture, predictor))
    if for_machines:
        about = {"run": run.name, "similarity": predictor.similarity.name, **asdict(point)}
        click.echo(json.dumps({**about, "images": rows}, indent=2))
    elif count:
        say(threshold_in_words(point, far))
    if out is not None and shown:
        from circlemnist.plots.neighbors import draw_predictions

        draw_predictions(predictor, shown, point, theme, out)
        say(f"picture: {out}{f', the first {PREDICTED} of {count:,}' * (count > PREDICTED)}")
    if failed:
        raise click.exceptions.Exit(1)


def run_and_files(outputs: Path, arguments: Sequence[str]) -> tuple[Run, list[Path]]:
    """Part the arguments into the run, the newest where the first is none, and the files."""
    first_is_run = is_run(outputs, arguments[0])
    files = [Path(argument) for argument in arguments[first_is_run:]]
    if not files:
        raise click.UsageError(f"{arguments[0]} is a run: give it pictures to predict, too")
    return find_run(outputs, arguments[0] if first_is_run else None), files


def lines_of(picture: Sequence["PredictedDigit"], predictor: "Predictor") -> str:
    """Return a line for a picture of one digit; else one of all its digits, and one for each."""
    name, predictions = visible(picture[0].name), [digit.prediction for digit in picture]
    if len(picture) == 1:
        return f"{name}: {in_words(predictions[0], predictor)}"
    labels = " ".join(p.name if p.known else "?" for p in predictions)
    lines = [f"{name}: {len(picture)} digits: {labels}"]
    for number, prediction in enumerate(predictions, 1):
        lines.append(f"{name}, digit {number}: {in_words(prediction, predictor)}")
    return "\n".join(lines)


def threshold_in_words(point: "OperatingPoint", far: float | None) -> str:
    """Return the threshold and its errors; `far` is the rate that was asked for."""
    asked = "" if far in (None, point.far) else f", the next rate below {far:g}"
    return (
        f"known: typicality above {point.threshold:.4f}, for {100 * point.far:g} % false "
        f"accepts{asked}; {100 * point.false_rejects:.2g} % false rejects"
    )


def in_words(prediction: "Prediction", predictor: "Predictor") -> str:
    """Return what an image is taken for, and how sure."""
    similarity = predictor.similarity
    return (
        f"{prediction.name}  votes {prediction.agree}/{prediction.of}  "
        f"{similarity.name} {similarity.sign * prediction.similarity:.3f}  "
        f"typicality {prediction.typicality:.4f}  {'un' * (not prediction.known)}known"
    )
