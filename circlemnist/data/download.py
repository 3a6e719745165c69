"""Fetch one file over HTTP: checked, with a time limit, whole or not at all."""

import hashlib
import http.client
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from tqdm.auto import tqdm

from circlemnist.errors import UserError
from circlemnist.runs.files import atomic_write

CHUNK = 64 * 1024


class DownloadError(UserError):
    """No server delivered the file; the message says what each one did."""


def download(urls: Sequence[str], path: Path, md5: str, *, timeout: float, quiet: bool) -> None:
    """Fetch the first of `urls` that delivers content of the checksum `md5` into `path`.

    `path` appears only when its content is complete and correct.

    Args:
        urls: addresses of the same file, tried in turn.
        path: where the file goes; its folder exists.
        md5: checksum of the content, hexadecimal.
        timeout: seconds without an answer, or without a further byte, that end an attempt.
        quiet: show no progress bar.

    Raises:
        DownloadError: no address delivered the file.
        OSError: `path` cannot be written.
    """
    failures = []
    for url in urls:
        try:
            _download_one(url, path, md5, timeout, quiet)
        except DownloadError as error:
            failures.append(f"{url}: {error}")
        else:
            return
    raise DownloadError(f"cannot download {path.name} ({'; '.join(failures)})")


def _download_one(url: str, path: Path, md5: str, timeout: float, quiet: bool) -> None:
    response = _open(url, timeout)
    # disable=None shows the bar on a terminal only
    bar = tqdm(
        desc=path.name,
        total=response.length,
        unit="B",
        unit_scale=True,
        leave=False,
        disable=True if quiet else None,
    )
    digest = hashlib.md5(usedforsecurity=False)
    with response, bar, atomic_write(path) as temporary, temporary.open("wb") as file:
        while chunk := _read(response, timeout):
            file.write(chunk)
            digest.update(chunk)
            bar.update(len(chunk))
        if digest.hexdigest() != md5:
            raise DownloadError(f"wrong or incomplete content, {file.tell():,} bytes")


def _read(response: IO[bytes], timeout: float) -> bytes:
    try:
        return response.read(CHUNK)
    except TimeoutError as error:
        raise DownloadError(f"silent for {timeout:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(str(error)) from error


def _open(url: str, timeout: float) -> Any:
    """Open `url` in a thread: a dead network may hang in the name look-up, which has no limit."""
    answers: queue.Queue[Any] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=timeout))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        answer = TimeoutError()
    match answer:
        case TimeoutError() | urllib.error.URLError(reason=TimeoutError()):
            raise DownloadError(f"no answer within {timeout:g} s") from answer
        case urllib.error.HTTPError():
            raise DownloadError(f"the server says {answer.code} {answer.reason}") from answer
        case urllib.error.URLError():
            raise DownloadError(str(answer.reason)) from answer
        case Exception():
            raise DownloadError(str(answer)) from answer
    return answer
