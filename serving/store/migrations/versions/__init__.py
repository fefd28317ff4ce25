"""One module a version, each named for what it brings."""
