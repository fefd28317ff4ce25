"""The cohort simulator: patients, sites, missing values and outcomes with a known truth.

Nobody simulated here was ever treated: every file says SIMULATED, in a column and in its metadata.
"""

from experiments.simulator.cohort import Simulation, simulate, write_simulation
from experiments.simulator.world import WORLDS, World, find_world

__all__ = ["WORLDS", "Simulation", "World", "find_world", "simulate", "write_simulation"]
