"""The benchmark of validation against a known truth."""
