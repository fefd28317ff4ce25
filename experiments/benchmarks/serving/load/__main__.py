"""One load, asked for on stdin and reported on stdout, both as JSON."""

import json
import sys
from typing import Any

import uvloop

from experiments.benchmarks.serving.load.generator import Generator, Tally


async def generate(asked: dict[str, Any]) -> Tally:
    """Put one load on a service."""
    requests = [text.encode("latin-1") for text in asked["requests"]]
    generator = Generator(asked["port"], requests, asked["samples"])
    return await generator.run(
        asked["connections"], asked["warm_up"], asked["seconds"], asked["pid"]
    )


def main() -> None:
    """Read what is asked for, do it, say what was seen."""
    json.dump(uvloop.run(generate(json.load(sys.stdin))).as_dict(), sys.stdout)


if __name__ == "__main__":
    main()
