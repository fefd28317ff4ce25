"""Seeds of a run, one stream of random numbers for each use: none is used twice."""

import numpy as np

# Runs of the same study are only the same while these stay.
FOLD_SEED, REDEVELOPMENT_SEED, MEASURE_SEED, FINAL_SEED = 1, 2, 3, 4
BOOTSTRAP_SEED, SITE_SEED, LATEST_SEED, RECALIBRATION_SEED = 6, 7, 8, 9


def derive_seed(*parts: int) -> int:
    """Derive a seed from a study's seed and the place in the run where it is used."""
    # SeedSequence mixes its parts: neighbouring numbers give unrelated streams.
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
