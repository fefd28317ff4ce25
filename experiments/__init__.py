"""Studies, the cohort simulator, loaders of real trials, benchmarks, a log of what was found."""
