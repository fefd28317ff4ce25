"""Methods that benchmarks compare: our candidates, and peers."""
