"""The data sets: real MNIST from a local server and from disk, digits, damaged files."""

import gzip
import http.server
import io
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torchvision import datasets

from circlemnist.data.archives import SOURCES
from circlemnist.data.batches import balanced_batches, batches
from circlemnist.data.datasets import Dataset, Split, load_dataset, load_test_split
from circlemnist.data.download import CHUNK, DownloadError, download
from circlemnist.errors import SettingError, UserError
from tests.conftest import set_mirrors

Serve = Callable[..., str]


@pytest.fixture
def serve(mnist_archives: Path) -> Iterator[Serve]:
    """Start loopback servers of the archives; `fault` says what goes wrong with the images."""
    servers = []

    def start(fault: str = "none") -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[-1]
                content = (mnist_archives / name).read_bytes()
                if fault == "404":
                    self.send_error(404)
                    return
                if fault == "mute":
                    time.sleep(3)
                    return
                if fault == "wrong content":
                    content = gzip.compress(b"not what you asked for")
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if fault in ("truncated", "stalled", "halting"):
                    self.wfile.write(content[: len(content) // 2])
                    self.wfile.flush()
                    time.sleep({"truncated": 0, "stalled": 3, "halting": 0.2}[fault])
                    content = content[len(content) // 2 :] if fault == "halting" else b""
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        # asked to end, it looks up that often, and not every half second
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_download_gives_the_official_images(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mnist_archives: Path
) -> None:
    set_mirrors(monkeypatch, serve())
    dataset = load_dataset("mnist", tmp_path, quiet=True)
    assert dataset.train.images.shape == (60_000, 28, 28)
    assert dataset.test.images.shape == (10_000, 28, 28)
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels.dtype == torch.int64
    assert dataset.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    reference = datasets.MNIST(tmp_path, train=False, download=True)
    assert torch.equal(dataset.test.images, reference.data)
    assert torch.equal(dataset.test.labels, reference.targets)
    for archive in mnist_archives.glob("*.gz"):
        copy = tmp_path / "MNIST" / "raw" / archive.name
        assert copy.read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("404", "404"),
        ("mute", "no answer within 0.5 s"),
        ("stalled", "silent for 0.5 s"),
        ("truncated", "incomplete content"),
        ("wrong content", "incomplete content"),
    ],
)
def test_failed_download_says_why_and_leaves_nothing(
    fault: str, words: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_mirrors(monkeypatch, serve(fault))
    started = time.monotonic()
    with pytest.raises(DownloadError, match=words) as caught:
        load_dataset("mnist", tmp_path, quiet=True, timeout=0.5)
    assert time.monotonic() - started < 3
    assert "train-images-idx3-ubyte.gz" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == []


def test_second_mirror_serves_where_the_first_fails(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_mirrors(monkeypatch, serve("truncated"), serve())
    assert len(load_dataset("mnist", tmp_path, quiet=True).train) == 60_000
    assert len(files(tmp_path)) == 4


def test_name_look_up_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no limit of its own; nor may its thread keep the program from ending."""
    over, before = threading.Event(), threading.enumerate()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: over.wait(1) and [])
    with pytest.raises(DownloadError, match=r"no answer within 0\.1 s"):
        download(["http://example.invalid/a"], tmp_path / "a", "", timeout=0.1, quiet=True)
    (asking,) = set(threading.enumerate()) - set(before)
    assert asking.daemon
    over.set()


class Screen(io.StringIO):
    """What a terminal is sent."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def fetched(url: str, folder: Path, quiet: bool) -> int:
    """Fetch the images of the test split, and return how many bytes they are."""
    name, md5 = datasets.MNIST.resources[2]
    download([url + name], folder / name, md5, timeout=5.0, quiet=quiet)
    return (folder / name).stat().st_size


def test_bar_shows_what_has_come_and_goes_away(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server pauses amid the file: the bar then shows the whole chunks of the first half."""
    monkeypatch.setattr("sys.stderr", screen := Screen(terminal=True))
    size = fetched(serve("halting"), tmp_path, quiet=False)
    half = -(-(size // 2) // CHUNK) * CHUNK
    *lines, gone, end = screen.getvalue().split("\r")
    begin = f"t10k-images-idx3-ubyte.gz: {half / size:4.0%}|"
    shown = next(line for line in lines if line.startswith(begin))  # a slow reader shows more
    assert f"| {half / 1e3:.0f}k/{size / 1e6:.2f}M [" in shown
    assert shown.rstrip().endswith("B/s]")
    assert (gone.strip(), end) == ("", "")


@pytest.mark.parametrize(("terminal", "quiet"), [(True, True), (False, False)], ids=str)
def test_no_bar_where_quiet_is_wanted_or_nobody_looks(
    terminal: bool, quiet: bool, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", screen := Screen(terminal))
    fetched(serve(), tmp_path, quiet)
    assert screen.getvalue() == ""


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point every data set at a port of this machine where nothing listens."""
    set_mirrors(monkeypatch, "http://127.0.0.1:9/")


@pytest.mark.usefixtures("no_server")
def test_auto_falls_back_to_digits_in_one_line(tmp_path: Path) -> None:
    said: list[str] = []
    assert load_dataset("auto", tmp_path, say=said.append).name == "digits"
    assert len(said) == 1
    assert "digits" in said[0]
    assert str(tmp_path) in said[0]


@pytest.mark.usefixtures("no_server")
def test_auto_takes_mnist_from_the_folder(mnist_dir: Path) -> None:
    said: list[str] = []
    assert load_dataset("auto", mnist_dir, say=said.append).name == "mnist"
    assert said == []


@pytest.mark.usefixtures("no_server")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist"])
def test_named_data_set_that_cannot_be_had_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="cannot download train-images"):
        load_dataset(name, tmp_path)


@pytest.mark.parametrize("name", ["mnist", "auto"])
@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_damaged_file_is_named_not_replaced(name: str, damage: str, mnist_dir: Path) -> None:
    path = mnist_dir / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
    content = path.read_bytes()[:1000] if damage == "truncated" else gzip.compress(bytes(5000))
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte\.gz is not the official file"):
        load_dataset(name, mnist_dir)
    assert path.read_bytes() == content


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(UserError, match="`data_dir`"):
        load_dataset("mnist", tmp_path / "data")


def test_digits_split_keeps_the_last_writers_apart() -> None:
    dataset = load_dataset("digits", Path("unused"))
    assert dataset.train.images.shape == (1437, 28, 28)
    assert dataset.test.images.shape == (360, 28, 28)
    assert dataset.train.images.dtype == dataset.test.images.dtype == torch.uint8
    assert dataset.test.labels.tolist() == load_digits().target[-360:].tolist()
    small = torch.nn.functional.avg_pool2d(dataset.test.images[:, None].float(), 7, 7)
    assert small.max() > 200


def test_held_out_images_are_the_last_of_the_training_split() -> None:
    dataset = load_dataset("digits", Path("unused"))
    held = dataset.hold_out(100)
    assert (len(held.train), len(held.test)) == (1337, 100)
    assert torch.equal(held.test.images, dataset.train.images[-100:])
    assert (held.name, held.measured) == ("digits", "held-out training")
    assert dataset.measured == "test"
    assert len(dataset.hold_out(1337).train) == 100
    assert dataset.hold_out(0) is dataset
    for count in (1, 99, 1338, 1437):
        with pytest.raises(SettingError, match="holdout"):
            dataset.hold_out(count)


def labelled() -> Dataset:
    """A data set whose images carry their label in one pixel, and their place in others."""
    labels = torch.randint(10, (400,), generator=torch.Generator().manual_seed(0))
    images = torch.zeros(400, 28, 28, dtype=torch.uint8)
    images[:, 3, 5] = labels.byte()
    images[:, 0, 0], images[:, 0, 1] = torch.arange(400) // 256, torch.arange(400) % 256
    return Dataset("digits", Split(images[:300], labels[:300]), Split(images[300:], labels[300:]))


def places(split: Split) -> list[int]:
    return (256 * split.images[:, 0, 0].int() + split.images[:, 0, 1].int()).tolist()


def test_images_and_labels_move_together() -> None:
    moved = labelled().train.to(torch.device("meta"))
    assert moved.images.device == moved.labels.device == torch.device("meta")


def test_labels_travel_with_their_images_through_every_split() -> None:
    dataset = labelled()
    held = dataset.hold_out(120)
    for split in (dataset.train, held.train, held.test):
        assert torch.equal(split.images[:, 3, 5].long(), split.labels)
    assert places(held.train) == [*range(180)]
    assert places(held.test) == [*range(180, 300)]


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def test_what_is_read_is_images_with_their_own_labels(mnist_archives: Path) -> None:
    """A few of the official images, as anybody reads them: gzip, 16 bytes of head, 28 × 28."""
    dataset = load_dataset("mnist", mnist_archives.parents[1])
    for name, split in (("train", dataset.train), ("t10k", dataset.test)):
        images = unpacked(mnist_archives / f"{name}-images-idx3-ubyte.gz")[16:]
        labels = unpacked(mnist_archives / f"{name}-labels-idx1-ubyte.gz")[8:]
        assert len(split) == len(labels) == len(images) // 784
        for place in (0, 1, 777, len(labels) - 1):
            image = bytes(split.images[place].flatten().tolist())
            assert image == images[784 * place : 784 * (place + 1)]
        assert split.labels.tolist() == list(labels)


def test_digits_are_those_of_scikit_learn_in_their_order() -> None:
    dataset = load_dataset("digits", Path("unused"))
    source = load_digits()
    for split, place in ((dataset.train, 0), (dataset.test, 1437)):
        for i in (0, 1, len(split) - 1):
            assert split.labels[i] == source.target[place + i]
            small = torch.tensor(source.images[place + i] / 16 * 255, dtype=torch.float32)
            large = torch.nn.functional.interpolate(
                small[None, None], size=(28, 28), mode="bilinear"
            )[0, 0]
            assert (split.images[i].float() - large).abs().max() <= 0.51


@pytest.mark.parametrize(
    ("name", "asked", "passed_on"),
    [
        ("mnist", {"timeout": 9.0, "quiet": True}, (9.0, True)),
        ("auto", {"timeout": 9.0, "quiet": True}, (3.0, True)),
        ("mnist", {}, (15.0, False)),
        ("auto", {}, (5.0, False)),
    ],
    ids=["mnist", "auto", "mnist-unasked", "auto-unasked"],
)
def test_auto_is_less_patient_with_a_dead_server(
    name: str,
    asked: dict[str, Any],
    passed_on: tuple[float, bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited = []

    def dead(*_: object, timeout: float, quiet: bool) -> None:
        waited.append((timeout, quiet))
        raise DownloadError("dead")

    monkeypatch.setattr("circlemnist.data.datasets.download", dead)
    with suppress(DownloadError):
        load_dataset(name, tmp_path, say=lambda _: None, **asked)
    assert waited == [passed_on]


def test_classes_left_out_keep_their_labels_and_leave_training_alone() -> None:
    """Each image carries its label in a pixel, and its number in the next."""
    labels = torch.arange(300) % 10

    def split(of: torch.Tensor) -> Split:
        images = torch.zeros(len(of), 28, 28, dtype=torch.uint8)
        images[:, 0, 0], images[:, 0, 1] = of, torch.arange(len(of)) // 10
        return Split(images, of)

    whole = Dataset("digits", split(labels), split(labels[:100]))
    left = whole.leave_out((3, 0))
    assert left.unseen is not None
    for part in (left.train, left.unseen, left.test):
        assert torch.equal(part.images[:, 0, 0].long(), part.labels)
    assert sorted(left.train.labels.unique().tolist()) == [1, 2, 4, 5, 6, 7, 8, 9]
    assert sorted(left.unseen.labels.unique().tolist()) == [0, 3]
    assert (len(left.train), len(left.unseen)) == (240, 60)
    for part in (left.train, left.unseen):  # in the order they had
        assert (part.images[:, 0, 1].diff() >= 0).all()
    assert left.test is whole.test
    assert left.measured == "test"
    assert whole.leave_out(()) is whole
    held = whole.hold_out(100).leave_out((5,))
    assert held.measured == "held-out training"
    assert (len(held.train), len(held.test)) == (180, 100)


@pytest.mark.parametrize(("train", "test"), [(195, 100), (300, 19)])
def test_classes_are_not_left_out_of_too_few_images(train: int, test: int) -> None:
    parts = [
        Split(torch.zeros(n, 28, 28, dtype=torch.uint8), torch.arange(n) % 10)
        for n in (train, test)
    ]
    with pytest.raises(SettingError, match=r"images or more of each class, and \d has (19|1)"):
        Dataset("digits", *parts).leave_out((1,))


def test_checksum_tells_data_sets_apart() -> None:
    dataset = load_dataset("digits", Path("unused"))
    assert dataset.checksum() == load_dataset("digits", Path("unused")).checksum()
    assert dataset.checksum() != dataset.hold_out(100).checksum()


@given(st.lists(st.integers(1, 40), min_size=2, max_size=10), st.data(), st.integers(0, 2**32 - 1))
def test_balanced_batches_hold_k_images_of_each_of_p_classes(
    sizes: list[int], data: st.DataObject, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    p = data.draw(st.integers(1, len(sizes)))
    k = data.draw(st.integers(1, max(len(labels) // p, 1)))
    order = balanced_batches(labels, p, p * k, torch.Generator().manual_seed(seed))
    assert order.shape == (len(labels) // (p * k), p * k)
    for batch in labels[order]:
        counts = torch.bincount(batch)
        assert counts[counts > 0].tolist() == [k] * p


def test_balanced_batches_use_up_every_class_before_they_repeat_an_image() -> None:
    labels = torch.arange(10).repeat(20)
    order = balanced_batches(labels, 10, 50, torch.Generator().manual_seed(0))
    assert torch.equal(order.flatten().sort().values, torch.arange(200))
    other = balanced_batches(labels, 10, 50, torch.Generator().manual_seed(1))
    assert not torch.equal(order, other)


def test_batches_are_drawn_from_their_generator_alone() -> None:
    before = torch.get_rng_state()
    balanced_batches(torch.arange(10).repeat(20), 5, 50, torch.Generator().manual_seed(0))
    batches(100, 10, torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_a_random_order_without_repeats() -> None:
    order = batches(103, 10, torch.Generator().manual_seed(0))
    assert order.shape == (10, 10)
    assert len(order.unique()) == 100
    again = batches(103, 10, torch.Generator().manual_seed(0))
    other = batches(103, 10, torch.Generator().manual_seed(1))
    assert torch.equal(order, again)
    assert not torch.equal(order, other)


def test_test_split_alone_needs_no_training_images(mnist_archives: Path, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in mnist_archives.glob("t10k-*.gz"):
        shutil.copy(archive, raw)
    split = load_test_split("mnist", tmp_path)
    assert split.images.shape == (10_000, 28, 28)
    assert split.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert torch.equal(
        load_test_split("digits", tmp_path).images, load_dataset("digits", tmp_path).test.images
    )


@pytest.mark.parametrize("name", list(SOURCES))
def test_archives_are_those_of_torchvision(name: str) -> None:
    ours = SOURCES[name]
    theirs = getattr(datasets, ours.folder)
    assert list(ours.mirrors) == theirs.mirrors
    assert list(ours.resources) == theirs.resources
