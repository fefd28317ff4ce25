"""The benchmark of models on real trials."""
