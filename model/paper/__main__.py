"""`python -m model.paper ...`: the float world's commands."""

from model.contract.refusal import speaking_plainly
from model.paper.commands import app

with speaking_plainly():
    app(prog_name="python -m model.paper", standalone_mode=True)
