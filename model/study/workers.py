"""Where work goes on side by side: cores of this machine, or the workers of a Dask scheduler."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from joblib import parallel_config

from model.contract.refusal import Refusal

ANSWER_SECONDS = 5.0  #: within which a scheduler must be there
WORKERS_SECONDS = 30.0  #: within which its first worker must be there


@contextmanager
def workers(scheduler: str | None) -> Iterator[None]:
    """Where `joblib.Parallel` runs: as joblib is told already, or on a scheduler's workers.

    Raises `Refusal` where no Dask scheduler answers at the address, or it has no workers.
    """
    if scheduler is None:
        yield
        return
    _check_answers(scheduler)
    try:
        config = parallel_config(
            "dask", scheduler_host=scheduler, wait_for_workers_timeout=WORKERS_SECONDS
        )
    except OSError as error:
        raise Refusal(f"what answers at {scheduler} is no Dask scheduler: {error}") from error
    with config:
        try:
            yield
        except TimeoutError as error:
            raise Refusal(
                f"the Dask scheduler at {scheduler} has no workers; start some with `dask worker`"
            ) from error


def _check_answers(scheduler: str) -> None:
    """Refuse an address where no scheduler greets: Dask would wait there, perhaps for ever."""
    try:
        address = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
        host, port = address.hostname, address.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise Refusal(f"a scheduler's address is tcp://host:port, not {scheduler!r}")
    try:
        with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as line:
            if address.scheme == "tcp" and not line.recv(1):
                raise ConnectionError("the line was closed")
    except OSError as error:
        raise Refusal(
            f"no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler`"
        ) from error
