"""`circlemnist predict`."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from circlemnist.cli.messages import say, visible
from circlemnist.cli.options import (
    PrintablePath,
    files,
    outputs_option,
    refuse_unused_flags,
    setting_option,
    theme_option,
)
from circlemnist.plots.kinds import PREDICTED, STILL, check_suffix
from circlemnist.runs.run import Run, find_run, is_run

if TYPE_CHECKING:
    from circlemnist.evaluation.predict import PredictedDigit, Prediction, Predictor
    from circlemnist.evaluation.report import OperatingPoint


@click.command()
@click.argument("arguments", metavar="[RUN] FILE...", nargs=-1, required=True, shell_complete=files)
@outputs_option
@setting_option("device")
@click.option(
    "--far",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="false accepts of the threshold between known and unknown  [default: the least that "
    "rejects no more than 3 % of the validation images]",
)
@click.option(
    "--as-is/--prepare",
    default=None,
    help="images are 28 x 28 already, light on dark; or are made so, as those of MNIST were  "
    "[default: as-is with runs on Fashion-MNIST and KMNIST, as its pictures were with runs on a "
    "folder, else prepare]",
)
@click.option("--one", is_flag=True, help="each picture has only one digit")
@click.option("--json", "for_machines", is_flag=True, help="print JSON instead of lines")
@click.option(
    "--out",
    type=PrintablePath(dir_okay=False),
    help="draw the digits in their boxes, and the nearest training images: .png, .svg or .pdf "
    f"file; of many digits the first {PREDICTED}",
)
@theme_option
@click.pass_context
def predict(
    ctx: click.Context,
    /,
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
    """Say what is on pictures: files, folders of them, or - for standard input.

    RUN is the folder or the name of a run; by default the newest. Pictures are prepared as those
    of MNIST were, but for runs on Fashion-MNIST and KMNIST. Digits are read in rows from the top.

    A line has the class, the votes of the 20 nearest training images, the similarity to the
    nearest, the typicality, and whether that is known: above the threshold for --far.

    \b
    Examples:
      circlemnist predict my_digit.png
      circlemnist predict default scans/ --json
      circlemnist predict photo.jpg --out seen.png
    """
    run, files = run_and_files(outputs, arguments)
    refuse_unused_flags(ctx)
    if out is not None:
        check_suffix(out, STILL, "draw")
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
        from circlemnist.plots.prediction import draw_predictions

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
        f"known: typicality above {point.threshold:.3f}, for {100 * point.far:g} % false "
        f"accepts{asked}; {100 * point.false_rejects:.2g} % false rejects"
    )


def in_words(prediction: "Prediction", predictor: "Predictor") -> str:
    """Return what an image is taken for, and how sure."""
    similarity = predictor.similarity
    alike = f"{similarity.name} {similarity.sign * prediction.similarity:.3f}"
    verdict = "known" if prediction.known else "unknown"
    agree = f"{prediction.agree}/{prediction.of}"
    typical = f"typicality {prediction.typicality:.3f}"
    return f"{prediction.name}  {agree}  {alike}  {typical}  {verdict}"
