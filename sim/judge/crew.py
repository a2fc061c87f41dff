"""Segments side by side: on cores of this machine, or on the workers of a Dask scheduler.

A worker that dies has its segment done again; what was finished before stays.
"""

import os
import warnings
from collections.abc import Generator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing

from joblib import Parallel, delayed

from model.contract.refusal import Refusal
from model.study.workers import workers
from rtl.emit import Emission
from sim.judge.segment import Finished, Segment, Way, finish

MOST_DEATHS = 3  #: of workers, between two segments that are finished


def side_by_side(
    emission: Emission, way: Way, segments: list[Segment], jobs: int, scheduler: str | None
) -> Generator[Finished, None, None]:
    """Go through segments, in whatever order they are finished.

    Raises `Refusal` where workers keep dying, or a scheduler does not answer or vanishes.
    """
    left = {segment.samples.at: segment for segment in segments}
    deaths = 0
    while left:
        try:
            with closing(_once(emission, way, list(left.values()), jobs, scheduler)) as once:
                for finished in once:
                    del left[finished.at]
                    deaths = 0
                    yield finished
        except BrokenProcessPool as error:
            deaths += 1
            if deaths == MOST_DEATHS:
                raise Refusal(
                    f"workers died {deaths} times with no segment finished in between; take fewer "
                    "--jobs where the memory does not suffice"
                ) from error


def _once(
    emission: Emission, way: Way, segments: list[Segment], jobs: int, scheduler: str | None
) -> Generator[Finished, None, None]:
    """Hand every segment to a worker once."""
    parent = os.getpid() if scheduler is None else None
    tasks = (delayed(finish)(emission, way, segment, parent) for segment in segments)
    pool = Parallel(
        n_jobs=jobs if scheduler is None else -1, batch_size=1, return_as="generator_unordered"
    )
    with workers(scheduler), pool:
        finished = pool(tasks)
        try:
            for one in finished:  # noqa: UP028 (`yield from` would close it before the `finally`)
                yield one
        except (OSError, RuntimeError) as error:
            if scheduler is None:
                raise
            raise Refusal(
                f"the Dask scheduler at {scheduler} is gone, or its workers are ({error}); "
                "what was finished is kept where a --checkpoint was named"
            ) from error
        finally:
            with warnings.catch_warnings():  # joblib warns of tasks that nobody waits for
                warnings.simplefilter("ignore")
                finished.close()
