"""MNIST by torchvision: downloaded from a real server on the loopback, read, damaged."""

import bz2
import gzip
import hashlib
import http.server
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from circlemnist.data import torchvision_files
from circlemnist.data.datasets import Dataset, load_dataset
from circlemnist.data.torchvision_files import DownloadError
from circlemnist.errors import UserError
from tests.conftest import ROOT, set_proxy

Serve = Callable[..., None]
IMAGES = "train-images-idx3-ubyte"


@pytest.fixture
def serve(mnist_archives: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a proxy that answers for torchvision's mirrors; `fault` says what goes wrong.

    MNIST's first mirror speaks https, which the proxy refuses, so that the second one serves.
    """
    servers = []

    def start(fault: str = "none") -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer(b"")

            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[-1]
                content = (mnist_archives / name).read_bytes()
                faulty = {"web page": b"<html>Log in</html>", "truncated": content[:10_000]}
                self.answer(faulty.get(fault, content), len(content))

            def answer(self, content: bytes, length: int = 0) -> None:
                if fault == "404":
                    self.send_error(404)
                    return
                if fault == "mute":
                    time.sleep(9)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        set_proxy(monkeypatch, f"http://127.0.0.1:{server.server_port}/")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def load(folder: Path, name: str = "mnist", timeout: float = 15.0) -> tuple[Dataset, list[str]]:
    said: list[str] = []
    return load_dataset(name, folder, timeout=timeout, quiet=True, say=said.append), said


def is_mnist(dataset: Dataset, archives: Path) -> bool:
    """Compare with the official files as anybody reads them: gzip, a head, then the bytes."""
    for name, split in (("train", dataset.train), ("t10k", dataset.test)):
        images = gzip.decompress((archives / f"{name}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((archives / f"{name}-labels-idx1-ubyte.gz").read_bytes())[8:]
        if split.images.numpy().tobytes() != images or split.labels.tolist() != list(labels):
            return False
    return (dataset.train.images.dtype, dataset.train.labels.dtype) == (torch.uint8, torch.int64)


def test_download_gives_the_official_images_in_torchvisions_folder_for_the_next_time(
    serve: Serve, tmp_path: Path, mnist_archives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next time neither the network is needed, nor torchvision."""
    serve()
    folder = tmp_path / "new" / "data"
    dataset, said = load(folder)
    assert said == []
    assert is_mnist(dataset, mnist_archives)
    assert torch.equal(dataset.test.images, datasets.MNIST(folder, train=False).data)
    for archive in mnist_archives.glob("*.gz"):
        copy = folder / "MNIST" / "raw" / archive.name
        assert copy.read_bytes() == archive.read_bytes()
    monkeypatch.setattr(torchvision_files, "COMMAND", ("false",))
    assert load(folder)[0].checksum() == dataset.checksum()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["404", "web page", "mute"])
def test_failed_download_says_why_in_a_line_and_leaves_nothing(
    fault: str, serve: Serve, tmp_path: Path
) -> None:
    serve(fault)
    with pytest.raises(DownloadError, match="cannot download MNIST") as caught:
        load(tmp_path / "data", timeout=2.0 if fault == "mute" else 60.0)
    words = {"404": "404", "mute": "silent|timed out|no answer"}.get(fault, "corrupted")
    caught.match(words)
    caught.match("`data_dir`")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_name_look_up_that_hangs_is_given_up(tmp_path: Path) -> None:
    """It has no limit of its own: one that takes a minute stands for such a network."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, time\nsocket.getaddrinfo = lambda *_, **__: time.sleep(60)\n"
    )
    code = (
        "import time\nfrom pathlib import Path\n"
        "from circlemnist.data.datasets import load_dataset\n"
        "load_dataset('mnist', Path('data'), timeout=2)"
    )
    network = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**network, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert "no answer within 4 s" in ended.stderr.splitlines()[-1]
    assert time.monotonic() - started < 45
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_arrays_are_made_again_where_they_are_damaged_or_the_files_are_others(
    mnist_dir: Path, mnist_archives: Path
) -> None:
    load(mnist_dir)
    arrays = mnist_dir / "MNIST" / "arrays.npz"
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1
    arrays.write_bytes(content)
    assert is_mnist(load(mnist_dir)[0], mnist_archives)
    raw = mnist_dir / "MNIST" / "raw"
    for path in raw.glob("*.gz"):  # the same files, of another day: images of half the ink
        unpacked = bytearray(gzip.decompress(path.read_bytes()))
        if "images" in path.name:
            unpacked[16:] = bytes(np.frombuffer(unpacked[16:], np.uint8) // 2)
        (raw / path.stem).write_bytes(unpacked)
    assert load(mnist_dir)[0].train.images.max() == 127


@pytest.mark.usefixtures("no_network")
def test_files_under_other_names_and_packed_anew_are_read(
    mnist_dir: Path, mnist_archives: Path
) -> None:
    """As other sites name them, train-images.idx3-ubyte; where no arrays can be stored, too."""
    raw = mnist_dir / "MNIST" / "raw"
    for path in list(raw.glob("*.gz")):
        content = gzip.decompress(path.read_bytes())
        if "images" in path.name:
            (raw / path.stem.replace("-idx", ".idx")).write_bytes(content)
        else:
            (raw / path.name.replace("-idx", ".idx")).write_bytes(gzip.compress(content, 1))
        path.unlink()
    (mnist_dir / "MNIST" / "arrays.npz").mkdir()  # so that no file can be written there
    assert is_mnist(load(mnist_dir, timeout=60)[0], mnist_archives)
    assert len(files(raw)) == 4


@pytest.mark.slow  # reads MNIST twice
@pytest.mark.usefixtures("no_network")
def test_files_in_other_places_are_read(mnist_dir: Path, mnist_archives: Path) -> None:
    own = mnist_dir / "mnist"
    (mnist_dir / "MNIST" / "raw").rename(own)
    (mnist_dir / "MNIST").rmdir()
    for folder in (own, mnist_dir):  # the second time from arrays
        dataset, said = load(folder, "auto", timeout=60)
        assert (dataset.name, said) == ("mnist", [])
        assert is_mnist(dataset, mnist_archives)
    (own / "raw").mkdir()
    for path in own.glob("*-ubyte*"):
        path.rename(own / "raw" / path.name)
    assert is_mnist(load(own / "raw")[0], mnist_archives)
    assert [path.name for path in mnist_dir.iterdir()] == ["mnist"]


def test_damaged_files_are_named_and_fetched_again(
    serve: Serve, mnist_dir: Path, mnist_archives: Path
) -> None:
    """One of them packed, one unpacked."""
    serve()
    raw = mnist_dir / "MNIST" / "raw"
    packed, unpacked = raw / f"{IMAGES}.gz", raw / "t10k-images-idx3-ubyte"
    whole = {packed: packed.read_bytes()}
    whole[unpacked] = gzip.decompress((raw / f"{unpacked.name}.gz").read_bytes())
    (raw / f"{unpacked.name}.gz").unlink()
    for file, content in whole.items():
        file.write_bytes(content[:1000])
    dataset, said = load(mnist_dir)
    assert said == [f"{file} was damaged: it is replaced" for file in sorted(whole)]
    assert is_mnist(dataset, mnist_archives)
    for file, content in whole.items():
        assert file.read_bytes() == content


@pytest.mark.slow  # waits for each mirror
@pytest.mark.usefixtures("no_network")
def test_damaged_file_is_named_where_it_cannot_be_fetched(mnist_dir: Path) -> None:
    path = mnist_dir / "MNIST" / "raw" / f"{IMAGES}.gz"
    path.write_bytes(b"half")
    with pytest.raises(UserError, match=rf"{IMAGES}\.gz is damaged") as caught:
        load(mnist_dir, "auto", timeout=90)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"half"


LOADING = (
    sys.executable,
    "-c",
    "from tests.data.test_torchvision_files import load, Path; load(Path('data'))",
)


@pytest.mark.slow
def test_two_processes_that_download_at_once_end_with_the_same_files(
    serve: Serve, tmp_path: Path, mnist_archives: Path
) -> None:
    serve()
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen(LOADING, cwd=tmp_path, env=env) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert is_mnist(load(tmp_path / "data")[0], mnist_archives)
    assert len(files(tmp_path / "data")) == 9


@pytest.mark.usefixtures("no_network")
def test_auto_falls_back_to_digits_in_one_line(tmp_path: Path) -> None:
    dataset, said = load(tmp_path / "data", "auto")
    assert dataset.name == "digits"
    assert len(said) == 1
    assert "digits" in said[0]
    assert str(tmp_path) in said[0]
    assert files(tmp_path) == []


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["fashion-mnist", "kmnist"])
def test_kin_of_mnist_are_read_from_their_own_folders(name: str, tmp_path: Path) -> None:
    source = {"fashion-mnist": datasets.FashionMNIST, "kmnist": datasets.KMNIST}[name]
    raw = tmp_path / source.__name__ / "raw"
    raw.mkdir(parents=True)
    digits = load_dataset("digits", tmp_path)
    tensors = [part for split in (digits.train, digits.test) for part in vars(split).values()]
    for (file, _), tensor in zip(source.resources, tensors, strict=True):
        write_idx(raw / file.removesuffix(".gz"), tensor.byte().numpy())
    dataset = load(tmp_path, name)[0]
    assert dataset.checksum() == digits.checksum()
    assert dataset.name == name


def write_idx(file: Path, array: np.ndarray) -> None:
    kind = {"uint8": 8, ">i4": 12}[array.dtype.str if array.itemsize > 1 else str(array.dtype)]
    head = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    file.write_bytes(head + array.tobytes())


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_images_of_emnist_are_set_upright_and_facts_of_qmnist_left_out(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (52, 28, 28), np.uint8)
    facts = np.stack([np.arange(52) % 10] * 8, 1).astype(">i4")
    for folder, name, labels in (
        ("EMNIST", "emnist-letters-{}-{}-idx{}-ubyte", (np.arange(52) % 26 + 1).astype(np.uint8)),
        ("QMNIST", "qmnist-{}-{}-idx{}-ubyte", facts),
    ):
        raw = tmp_path / folder / "raw"
        raw.mkdir(parents=True)
        for part in ("train", "test"):
            write_idx(raw / name.format(part, "images", 3), images)
            file = name.format(part, "labels", labels.ndim)
            write_idx(raw / (file if folder == "EMNIST" else file.replace("ubyte", "int")), labels)
    letters, digits = load(tmp_path, "emnist-letters")[0], load(tmp_path, "qmnist")[0]
    assert letters.classes == tuple("abcdefghijklmnopqrstuvwxyz")
    assert letters.train.labels.tolist() == [*range(26), *range(26)]
    assert np.array_equal(letters.test.images, images.transpose(0, 2, 1))
    assert digits.test.labels.tolist() == facts[:, 0].tolist()
    assert np.array_equal(digits.train.images, images)


@pytest.mark.slow
def test_usps_is_resized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: torchvision knows the checksums of the real files."""
    ink = np.linspace(-1, 1, 256)
    lines = [
        " ".join([f"{label}", *(f"{place}:{value}" for place, value in enumerate(ink, 1))])
        for label in range(1, 11)
    ]
    files = {name: [f"http://none/{name}", name, ""] for name in ("usps.bz2", "usps.t.bz2")}
    (tmp_path / "USPS").mkdir()
    for file in files.values():
        content = bz2.compress("\n".join(lines).encode())
        (tmp_path / "USPS" / file[1]).write_bytes(content)
        file[2] = hashlib.md5(content).hexdigest()
    split_list = dict(zip(("train", "test"), files.values(), strict=True))
    monkeypatch.setattr(datasets.USPS, "split_list", split_list)
    assert torchvision_files.fetch("USPS", tmp_path, 1.0) == ([], None)
    arrays = np.load(tmp_path / "arrays.npz")
    assert arrays["test_labels"].tolist() == list(range(10))
    assert arrays["train_images"].shape == (10, 28, 28)
    assert (arrays["train_images"][0, 0, 0], arrays["train_images"][9, 27, 27]) == (0, 255)
