"""Every setting of a run: one frozen dataclass, TOML in, TOML out, validated.

The command line builds its flags from this table, so a setting is declared once:
its type and default here in `Config`, its help and its limits beside them.
"""

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import tomli_w

from circlemnist.catalog import CATALOG, is_folder
from circlemnist.errors import SettingError, UserError
from circlemnist.family import CIRCLE, CIRCLES, FAMILY, LOSS_SETTINGS, PAPER_M, LossInfo
from circlemnist.limits import Limits, Value, did_you_mean, parse_classes

SIDE = 28  # pixels of an image, of every data set
DATASETS = ("auto", *CATALOG)
BATCH_SIZE = 250
# of a folder of pictures: steps that its training has at least, and epochs
FEWEST_STEPS, EPOCHS_OF_FOLDER = 600, (6, 300)
NETS = ("tiny", "small", "medium", "large", "article")
# settings that say where a run is trained, and change nothing of what it learns
MACHINE_SETTINGS = ("data_dir", "device")
# how many images are made of one: itself, three quarter turns, the mirror images of these four
TURNS = {"none": 1, "quarters": 4, "mirrored": 8}
MOST_INVENTED = 10_000  # 300 MB of images
CIRCLE_LOSS = FAMILY[CIRCLE]
# a setting that has an effect only beside some values of another one: that one, and its test
NEEDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "pairs": ("loss", lambda loss: loss == CIRCLE),
    "class_weights": ("loss", lambda loss: FAMILY[loss].has_class_weights),
    "last_norm": ("net", lambda net: net != "article"),
    "elastic": ("augment", bool),
    "plain_share": ("augment", bool),
    **dict.fromkeys(("classes", "prepare", "skip_unreadable"), ("dataset", is_folder)),
}


def _setting(default: Any, help: str, **limits: Any) -> Any:
    return field(default=default, metadata={"help": help, "limits": Limits(**limits)})


def _setting_by_loss(help: str, default: float, **limits: Any) -> Any:
    """Return a field whose default is the loss's own; `default` is that of Circle Loss."""
    return _setting(None, f"{help}  [default: by loss; {CIRCLE} {default:g}]", **limits)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a run, immutable and always valid: a wrong one raises SettingError."""

    dataset: str = _setting(
        "auto",
        "images to learn: auto takes MNIST, or digits offline; a path such as ./letters is a "
        "folder with a class in each subfolder",
        choices=DATASETS,
        or_path=True,
    )
    classes: str | None = _setting(
        None, "classes of a folder to take, such as cat,dog  [default: all]"
    )
    prepare: bool = _setting(
        False, "make the pictures of a folder as those of MNIST were made, in place of a fit"
    )
    skip_unreadable: bool = _setting(False, "leave out pictures of a folder that cannot be read")
    data_dir: str = _setting("data", "folder that holds, or receives, the data sets")
    loss: str = _setting(CIRCLE, "loss function", choices=tuple(FAMILY))
    gamma: float | None = _setting_by_loss(
        "scale of the loss; of center, weight of the centres",
        CIRCLE_LOSS.hyperparameters["gamma"].default,
        above=0,
        most=1e6,
    )
    m: float | None = _setting_by_loss(
        "margin of the loss", CIRCLE_LOSS.hyperparameters["m"].default, least=-1, most=8
    )
    pairs: str = _setting(
        "anchor",
        "with `loss` circle: one loss per anchor, as in the paper, or one for the whole batch",
        choices=("anchor", "batch"),
    )
    class_weights: str = _setting(
        "learned",
        "with a loss that has class weights: learn them, or fix them far apart",
        choices=("learned", "fixed"),
    )
    dim: int = _setting(64, "size of the embedding", least=1, most=4096)
    net: str = _setting("medium", "embedder network", choices=NETS)
    hidden_layers: int = _setting(0, "layers of 128 units before the embedding", least=0, most=16)
    fold: int = _setting(
        0, "size of a first embedding that is folded into `dim`; 0: none", least=0, most=4096
    )
    last_norm: bool = _setting(True, "end the network with BatchNorm")
    unseen: str | None = _setting(
        None, "classes that training never sees, such as 0,4,5,8; evaluated apart"
    )
    turned: str = _setting(
        "none", "extra classes: images turned by quarters, or also mirrored", choices=tuple(TURNS)
    )
    halves: bool = _setting(
        False, "extra classes: the upper half of one class above the lower half of another"
    )
    invented: int = _setting(
        0, "extra classes: this many random characters, 40 images each", least=0, most=MOST_INVENTED
    )
    epochs: int | None = _setting(
        None,
        f"passes over the training images [default: {CATALOG['mnist'].epochs}; digits: "
        f"{CATALOG['digits'].epochs}; a folder: by its size]",
        least=1,
        most=1_000_000,
    )
    images: int | None = _setting(
        None, "length of the training in images, instead of `epochs`", least=1, most=10**10
    )
    batch_size: int = _setting(
        None,
        f"images a step  [default: {BATCH_SIZE}; of a small folder fewer]",
        least=2,
        most=1_000_000,
    )
    lr: float = _setting_by_loss("peak learning rate of SGD", CIRCLE_LOSS.lr, above=0, most=1e6)
    momentum: float = _setting(0.9, "momentum of SGD", least=0, below=1)
    weight_decay: float = _setting_by_loss(
        "weight decay of SGD", CIRCLE_LOSS.weight_decay, least=0, most=1e6
    )
    scheduler: str = _setting(
        "onecycle", "learning-rate schedule", choices=("onecycle", "cosine", "multistep", "none")
    )
    augment: bool = _setting(True, "rotate, scale, shear and shift each image a little")
    elastic: float = _setting(
        0.3, "with `augment`: also bend images by this many pixels", least=0, most=SIDE
    )
    plain_share: float = _setting(
        0.34, "share of the training, at its end, without `augment`", least=0, most=1
    )
    classes_per_batch: int = _setting(
        0, "classes in a batch, with equally many images; 0: random batches", least=0, most=500_000
    )
    holdout: int = _setting(
        0,
        "size of the validation set: the last training images; 0: test set",
        least=0,
        most=1_000_000,
    )
    views: int = _setting(
        1, "test-time augmentation: mean over this many shifts of an image", least=1, most=5
    )
    snapshots: bool = _setting(False, "record embeddings during training, for animations")
    seed: int = _setting(0, "seed of all random choices", least=0, most=2**32 - 1)
    device: str = _setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))
    precision: str = _setting(
        "auto",
        "precision of the network in training; auto: bfloat16 where it is faster",
        choices=("auto", "float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        own = FAMILY[self.loss].hyperparameters if self.loss in FAMILY else {}
        for setting in fields(self):
            name, value = setting.name, getattr(self, setting.name)
            if value is None and setting.default is None:
                continue
            if problem := setting_problem(name, value, own[name].limits if name in own else None):
                with_loss = f", with the loss {self.loss}" if name in own else ""
                raise SettingError(name, problem + with_loss)
        self._fill_in_loss_defaults()
        if self.batch_size is None and not is_folder(self.dataset):
            object.__setattr__(self, "batch_size", BATCH_SIZE)
        self._sort_unseen()
        if self.images is not None and self.epochs is not None:
            raise SettingError("images", "cannot be given with `epochs`: both set the length")
        self._check_batches()
        most = self.loss_info.largest_batch
        if most is not None and (self.batch_size or 0) > most:
            raise SettingError(
                "batch_size",
                f"must be ≤ {most} with the loss {self.loss}, whose memory grows with its cube",
            )
        if self.net == "article":
            for name in ("hidden_layers", "fold"):
                if getattr(self, name):
                    raise SettingError(name, "must be 0 with the article's network")

    def _check_batches(self) -> None:
        p = self.classes_per_batch
        if p == 1:
            raise SettingError("classes_per_batch", "must be 0, or 2 or more, to have negatives")
        of_turns = TURNS[self.turned] * len(self.class_names)
        most_classes = of_turns + self.halves * of_turns * (of_turns - 1) + self.invented
        if self.class_names and p > most_classes:
            raise SettingError(
                "classes_per_batch", f"must be ≤ {most_classes}, the classes there are, not {p}"
            )
        if p and self.batch_size and (self.batch_size % p or self.batch_size == p):
            raise SettingError(
                "classes_per_batch",
                f"must divide the batch size, {self.batch_size}, into 2 images of each or more",
            )

    def _fill_in_loss_defaults(self) -> None:
        """Refuse a gamma or m that the loss does not have."""
        own = self.loss_info.hyperparameters
        for name in ("gamma", "m"):
            value = getattr(self, name)
            if name not in own:
                if value is not None:
                    only = ", only ".join(["", *(f"`{other}`" for other in own)])
                    raise SettingError("loss", f"{self.loss} has no `{name}`{only}")
            elif value is None:
                object.__setattr__(self, name, own[name].default)
        for name in ("lr", "weight_decay"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(self.loss_info, name))

    def _sort_unseen(self) -> None:
        if names := self.class_names if self.unseen is not None else ():
            try:
                classes = parse_classes(str(self.unseen), names, not is_folder(self.dataset))
            except ValueError as error:
                raise SettingError("unseen", str(error)) from None
            object.__setattr__(self, "unseen", ",".join(names[label] for label in classes))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of all classes by label; none of a folder that has not been read."""
        if is_folder(self.dataset):
            return tuple(self.classes.split(",")) if self.classes else ()
        return CATALOG.get(self.dataset, CATALOG["mnist"]).classes  # auto is of digits

    @property
    def unseen_classes(self) -> tuple[int, ...]:
        names = self.class_names
        return tuple(map(names.index, self.unseen.split(","))) if self.unseen and names else ()

    @property
    def seen_classes(self) -> tuple[int, ...]:
        unseen = self.unseen_classes
        return tuple(label for label in range(len(self.class_names)) if label not in unseen)

    @property
    def loss_info(self) -> LossInfo:
        return FAMILY[self.loss]

    @property
    def hyperparameters(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.loss_info.hyperparameters}

    @property
    def loss_and_values(self) -> str:
        """The loss and the values of its hyperparameters, in words."""
        values = [f"{name} {value:g}" for name, value in self.hyperparameters.items()]
        return ", ".join([self.loss_info.title, *values])

    @property
    def circle_m(self) -> float:
        """The margin by which pairs count as violating: m of Circle Loss, or else the paper's."""
        return self.m if self.m is not None and self.loss in CIRCLES else PAPER_M

    def reason_unused(self, name: str) -> str | None:
        """Say why the setting `name` changes nothing beside the others, or None where it does."""
        other, has_effect = NEEDS.get(name, (name, lambda _: True))
        if has_effect(value := getattr(self, other)):
            return None
        return f"has no effect with `{other}` {'off' if value is False else value}"

    def for_dataset(self, dataset: str, class_names: Sequence[str]) -> "Config":
        """Return these settings for the data set that was loaded: its name, and its classes."""
        classes = ",".join(class_names) if is_folder(dataset) else None
        return replace(self, dataset=dataset, classes=classes)

    @property
    def data(self) -> "Config":
        """The settings of the data set alone, by which it is loaded."""
        names = ("dataset", "data_dir", "classes", "prepare", "skip_unreadable")
        return Config(**{name: getattr(self, name) for name in names})

    def resolve(self, dataset: str, size: int) -> "Config":
        """Return these settings for a data set of `size` training images: its name, and epochs."""
        batch_size = self.batch_size or self._batch_of_folder(size)
        steps, (least, most) = size // batch_size, EPOCHS_OF_FOLDER
        epochs = self.epochs or min(max(math.ceil(FEWEST_STEPS / max(steps, 1)), least), most)
        if self.epochs is None and dataset in CATALOG:
            epochs = CATALOG[dataset].epochs
        if self.images is not None:
            epochs = max(round(self.images / max(steps * batch_size, 1)), 1)
        length = {"batch_size": batch_size, "epochs": epochs, "images": None}
        return replace(self, dataset=dataset, **length)  # type: ignore[arg-type]

    def _batch_of_folder(self, size: int) -> int:
        """Return the default size of a batch: half of a small folder, of P classes alike."""
        most = min(BATCH_SIZE, self.loss_info.largest_batch or BATCH_SIZE)
        p = self.classes_per_batch or 1
        return max(min(most, max(size // 2, min(size, 16))) // p, 2) * p

    def to_toml(self) -> str:
        """Return the settings as TOML, without those that are left to the data set."""
        return tomli_w.dumps({k: v for k, v in asdict(self).items() if v is not None})


def settings_to_drop(of_file: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[str]:
    """Return the settings of a file that are dropped for those chosen in a command or in Python.

    The gamma, m, lr and weight decay of a file are for its own loss; a length in epochs replaces
    one in images.
    """
    loss = of_file.get("loss", CIRCLE)
    names = list(LOSS_SETTINGS) if chosen.get("loss", loss) != loss else []
    names += ["images"] * ("epochs" in chosen) + ["epochs"] * ("images" in chosen)
    return [name for name in names if name in of_file and name not in chosen]


def setting_type(name: str) -> type:
    """Return the plain type (str, int, float or bool) of the setting `name`."""
    annotation: Any = Config.__annotations__[name]
    plain: type = next((kind for kind in get_args(annotation) if kind is not NoneType), annotation)
    return plain


def setting_problem(name: str, value: Value, limits: Limits | None = None) -> str | None:
    """Say what is wrong with a value by itself, or None; `limits` may replace the setting's own."""
    expected = setting_type(name)
    accepted = (int, float) if expected is float else (expected,)
    if not isinstance(value, accepted) or isinstance(value, bool) != (expected is bool):
        words = {str: "text in quotes", int: "a whole number", float: "a number"}
        return f"must be {words.get(expected, 'true or false')}, not {value!r}"
    allowed: Limits = limits or Config.__dataclass_fields__[name].metadata["limits"]
    return allowed.problem(value)


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings in a TOML file, checked for unknown keys and wrong types and values.

    Raises UserError for each of these. Whether values fit together is for `Config` to say.
    """
    try:
        settings = tomllib.loads(path.read_text("utf-8-sig"))  # an editor on Windows adds a mark
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    known = [setting.name for setting in fields(Config)]
    for name, value in settings.items():
        if name not in known:
            raise UserError(f"unknown setting {name!r} in {path}{did_you_mean(name, known)}")
        if problem := setting_problem(name, value):
            raise UserError(f"{path}: {name} {problem}")
    return settings
