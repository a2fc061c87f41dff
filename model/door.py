"""Doors between commands: a group of commands that is loaded only when it is entered."""

from importlib import import_module
from typing import Any

from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from model.contract.refusal import speaking_plainly


class Plain(TyperGroup):
    """A group of commands that end in one line where they refuse, or the user stops them."""

    def invoke(self, ctx: Any) -> Any:
        """Call a command."""
        with speaking_plainly():
            return super().invoke(ctx)


class Door(TyperGroup):
    """Stands in a list of commands for the Typer `app` of a module, and loads it when called."""

    def __init__(self, name: str, module: str, purpose: str, hidden: bool = False) -> None:
        super().__init__(name=name, help=purpose, hidden=hidden)
        self._module = module

    def make_context(self, *arguments: Any, **more: Any) -> Context:
        """The context of the real group."""
        group = get_command(import_module(self._module).app)
        return group.make_context(*arguments, **more)  # type: ignore[return-value]


def opening(*doors: Door) -> type[TyperGroup]:
    """A group, to give as `cls` to Typer, that has these doors beside its own commands."""

    class Hall(Plain):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            self.commands.update((door.name or "", door) for door in doors)

    return Hall
