"""Letters drawn from fonts, as a folder of pictures: images of one's own, from train to explore.

    apt-get install fonts-liberation fonts-freefont-ttf fonts-comfortaa fonts-cabin \
        fonts-quicksand fonts-tuffy fonts-prociono fonts-play fonts-hack fonts-inconsolata \
        fonts-crosextra-carlito fonts-crosextra-caladea fonts-breip fonts-sil-gentium-basic
    python -m benchmarks letters letters
    circlemnist train --dataset ./letters --name letters                   # docs/own-images.md
    circlemnist train --dataset ./letters --unseen c,h,n,p,v,x --name unseen

26 folders of 8 pictures from each of 20 fonts, dark on light, a little turned, shifted and scaled;
4 of the fonts are in `test/` alone. Expected: 1-NN above 95 %, recall@1 of letters that were
never trained on above 80 %.
"""

import string
from pathlib import Path

import click
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

FONTS = (
    *("breipfont.ttf", "Cabin-Regular.otf", "Caladea-Regular.ttf", "Carlito-Regular.ttf"),
    *("Comfortaa-Regular.ttf", "DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf"),
    *("FreeMono.ttf", "FreeSans.ttf", "FreeSerif.ttf", "GenBasR.ttf", "Hack-Regular.ttf"),
    *("Inconsolata.otf", "Play-Regular.otf", "Prociono.otf"),
)
TEST_FONTS = (
    *("LiberationSans-Regular.ttf", "LiberationSerif-Regular.ttf", "Quicksand-Regular.ttf"),
    "Tuffy.ttf",
)
SIDE = 64  # pixels


def letter(text: str, font: str, random: np.random.Generator) -> Image.Image:
    """Draw a letter, dark on light, with a distortion of its own."""
    image = Image.new("L", (SIDE, SIDE), int(random.integers(215, 256)))
    face = ImageFont.truetype(font, int(random.integers(34, 46)))
    place = SIDE / 2 + random.uniform(-4, 4, 2)
    ink = int(random.integers(0, 60))
    ImageDraw.Draw(image).text(tuple(place), text, ink, face, anchor="mm")
    shear, angle = random.uniform(-0.15, 0.15), random.uniform(-8, 8)
    paper = image.getpixel((0, 0))
    slant = (1, shear, -shear * SIDE / 2, 0, 1, 0)
    options = {"resample": Image.Resampling.BICUBIC, "fillcolor": paper}
    return image.transform(image.size, Image.Transform.AFFINE, slant, **options).rotate(
        angle, **options
    )


@click.command()
@click.argument("folder", type=Path)
@click.option("--each", default=8, help="pictures of a letter in each font")
def letters(folder: Path, each: int) -> None:
    """Write pictures of 26 letters from 20 fonts, in a folder each."""
    random = np.random.default_rng(0)
    files = {Path(path).name: path for path in font_manager.findSystemFonts()}
    for name in (*FONTS, *TEST_FONTS):
        font = files[name]
        part = folder / ("test" if name in TEST_FONTS else "train")
        for text in string.ascii_lowercase:
            (part / text).mkdir(parents=True, exist_ok=True)
            for number in range(each):
                picture = letter(text, font, random)
                picture.save(part / text / f"{Path(name).stem}-{number}.png")
