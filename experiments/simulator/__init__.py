"""The cohort simulator: patients, sites, missing values and outcomes with a known truth.

These patients do not exist: every file says SIMULATED, in a column and in its metadata.
"""

from experiments.simulator.cohort import Simulation, simulate, simulate_world
from experiments.simulator.sites import Sites
from experiments.simulator.world import World, draw_new_sites, make_sites
from experiments.simulator.worlds import WORLDS, find_world
from features.records.writing import write_table_atomic as write_simulation

__all__ = [
    "WORLDS",
    "Simulation",
    "Sites",
    "World",
    "draw_new_sites",
    "find_world",
    "make_sites",
    "simulate",
    "simulate_world",
    "write_simulation",
]
