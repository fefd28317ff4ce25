"""The benchmark of serving, and the load that it puts on a service."""
