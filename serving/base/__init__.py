"""HTTP exchanges, settings, logs and metrics: what the service's other parts share."""
