"""How long the catalogue's index takes to make and to search: `python -m benchmarks.catalogue`.

Beside it stands what a search without an index takes, which looks at every entry for each query.
`command` is `cloudflow nodes search` as people type it: most of it is starting Python.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cloudflow_dagster.nodes.index import Index
from cloudflow_dagster.nodes.stems import words_of
from cloudflow_dagster.providers.aws import AwsNodes

ROUNDS = 5
_QUESTIONS = Path(__file__).parents[1] / "tests" / "fixtures" / "search_questions.json"
_COMMAND = "from cloudflow_dagster.cli import main; main(prog_name='cloudflow')"


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median time that some work takes."""
    taken: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def linear(source: AwsNodes, question: str) -> int:
    """Count the entries that hold all words of a question, by looking at each."""
    words = words_of(question)
    texts = (f"{e.id} {e.label} {e.description}".lower() for e in source.entries())
    return sum(all(word in text for word in words) for text in texts)


def main() -> None:
    """Print a table."""
    source = AwsNodes()
    questions = [each["question"] for each in json.loads(_QUESTIONS.read_text("utf-8"))]
    edition = source.edition()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CLOUDFLOW_CACHE"] = folder
        made = seconds(
            lambda: Index([edition, str(time.time())], source.entries, source.synonyms), 3
        )
        opened = seconds(lambda: Index([edition], source.entries, source.synonyms))
        index = Index([edition], source.entries, source.synonyms)
        size = max(file.stat().st_size for file in Path(folder).rglob("*.sqlite"))
        each = [seconds(lambda q=q: index.search(q, 10), 3) for q in questions]
        command = [sys.executable, "-c", _COMMAND, "nodes", "search", "stop a server"]
        subprocess.run(command, check=True, capture_output=True)
        typed = seconds(lambda: subprocess.run(command, check=True, capture_output=True))
        without = seconds(lambda: linear(source, questions[0]), 3)
    print(f"{len(index.entries()):,} entries, {len(questions)} questions")
    print(f"making the index        {made:8.2f} s")
    print(f"its size                {size / 1e6:8.1f} MB")
    print(f"opening it              {opened * 1000:8.1f} ms")
    print(f"a search, median        {statistics.median(each) * 1000:8.1f} ms")
    print(f"a search, slowest       {max(each) * 1000:8.1f} ms")
    print(f"a search without it     {without * 1000:8.1f} ms")
    print(f"command                 {typed * 1000:8.1f} ms")


if __name__ == "__main__":
    main()
