"""The benchmark of models on simulated patients."""
