"""Results of a benchmark: a killed one goes on."""

from training.study.journal import Entry, Journal

Result = Entry


class Results(Journal):
    """A file of results."""

    def read_latest(self) -> dict[str, Result]:
        """Read the latest result by key."""
        return {result["key"]: result for result in self.read()}
