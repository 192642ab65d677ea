"""Has a program that nobody trusts count words, in an agent made for it, and prints what it finds. Runs outside."""

import asyncio
import sys
from pathlib import Path

import ringfence

PROGRAM = """
import collections, json, pathlib
words = pathlib.Path("/tmp/text").read_text().split()
print(f"{len(words)} words")
print(json.dumps(collections.Counter(words).most_common(2)))
"""


async def main(text: str) -> None:
    """Count the words of a file."""
    async with ringfence.isolated_execution(
        image="docker.io/library/python:3.11-slim-bookworm",
        memory="128Mi",
        lifetime="10m",
        on_progress=lambda sentence: print(sentence, file=sys.stderr),
    ) as agent:
        await agent.write_file("/tmp/text", text)
        result = await agent.run_python(PROGRAM, on_output=lambda output: print(output.text, end=""), timeout=60)
    for word, count in result.json():
        print(word, count)


asyncio.run(main(Path(sys.argv[1]).read_text()))
