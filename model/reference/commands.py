"""Commands of the float world; mounted as `python -m model reference`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model.contract.refusal import speaking_plainly
from model.reference import training
from model.reference.run import Run
from model.reference.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

DataDir = Annotated[Path | None, typer.Option(help="Folder of the data files.")]
BackendName = Annotated[str, typer.Option(help="numpy, torch, torch:cuda or cupy.")]


@contextmanager
def bar() -> Iterator[Callable[[str], training.Progress]]:
    """Show a progress bar; what is yielded starts a line and returns what `fit` reports to."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:

        def begin(title: str) -> training.Progress:
            line = shown.add_task(title, total=None, said="")

            def report(done: int, total: int, run: Run) -> None:
                rate = done * run.settings.batch / run.seconds if run.seconds else 0.0
                shown.update(line, completed=done, total=total, said=f"{rate:,.0f} samples/s")

            return report

        yield begin


@app.callback()
def reference() -> None:
    """Train with the paper's algorithms in float and redo its analyses."""


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="anchors, table1, init, synthetic, conv or table2.")],
    folder: Annotated[Path, typer.Option(help="Where the CSVs are kept.")] = Path("results"),
    data_dir: DataDir = None,
    backend: BackendName = "numpy",
) -> None:
    """Run the missing points of a study; what was finished or begun before is kept."""
    from model.reference import study as studies

    with speaking_plainly(), bar() as begin:

        def started(settings: Settings, number: int, count: int) -> training.Progress:
            return begin(f"[{number}/{count}] {settings.network} {settings.algorithm}")

        studies.study(name, folder, data_dir=data_dir, backend=backend, progress=started)


if __name__ == "__main__":
    app()
