"""The benchmark of serving, the soak, and the load that they put on a service."""
