"""The float world of the paper: six training algorithms, their networks, tasks and analyses.

Written from Frenkel, Lefebvre and Bol, "Learning without feedback" (2019), equation by equation,
on any array library that speaks the array API: numpy by default, torch or cupy by name.

>>> from model.paper import train
>>> run = train("fc1-100", "drtp", "digits")
>>> run.test_accuracy  # of each epoch, in %
"""

from model.paper.run import Run
from model.paper.settings import Settings, plan
from model.paper.task import Task, load
from model.paper.training import fit, train

__all__ = ["Run", "Settings", "Task", "fit", "load", "plan", "train"]
