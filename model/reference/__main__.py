"""`python -m model.reference ...`: the float world's commands."""

from model.contract.refusal import speaking_plainly
from model.reference.commands import app

with speaking_plainly():
    app(prog_name="python -m model.reference", standalone_mode=True)
