"""Where the archives of MNIST and its kin come from, and how to tell that they are whole.

Names, mirrors and MD5 as in `torchvision.datasets`, which takes longer to import than they to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A data set of four gzipped IDX files.

    Attributes:
        folder: the name that `torchvision.datasets` has for it.
        mirrors: folders on the web, the first one is tried first.
        resources: names and MD5 of the images and labels of training, then of the test.
    """

    folder: str
    mirrors: Sequence[str]
    resources: Sequence[tuple[str, str]]


def _named(*md5: str) -> list[tuple[str, str]]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return [(f"{part}-ubyte.gz", of) for part, of in zip(parts, md5, strict=True)]


SOURCES = {
    "mnist": Source(
        "MNIST",
        ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"],
        _named(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    "fashion-mnist": Source(
        "FashionMNIST",
        ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"],
        _named(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "kmnist": Source(
        "KMNIST",
        ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"],
        _named(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
}
