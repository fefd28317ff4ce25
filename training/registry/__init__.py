"""MLflow: runs, registered models, and the history of champions."""
