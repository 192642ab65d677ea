"""The quickstart as commands: what a reader types, and what the page shows as the answer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/quickstart.md"
_BLOCK = re.compile(r"(<!-- not run: .+ -->\n)?^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"-[0-9a-f]{8,10}-[a-z0-9]{5}\b"), "-POD"),
    (re.compile(r'"[\w-]{16,}\.[0-9a-f]{8}"'), '"HANDLE"'),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"[█░]+"), "BAR"),
    (re.compile(r"\b(\d+[dhms])+\b"), "AGE"),
    (re.compile(r"\d+(\.\d+)*"), "N"),
    (re.compile(r"\s+"), " "),
)
"""What differs from run to run, in this order."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something to type, and the answer that is shown; of a whole block, none is."""

    text: str
    answer: str = ""

    @property
    def may_be_repeated(self) -> bool:
        """True if it only looks: what it shows may take a moment to become so."""
        return self.text.startswith(("kubectl get", "kubectl logs", "ringfence ", "knock"))


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the page, and what there is to type below it."""

    title: str
    commands: tuple[Command, ...]

    @property
    def number(self) -> int:
        """The number in its title."""
        return int(self.title.partition(".")[0])


def sections(text: str | None = None) -> list[Section]:
    """Return the sections of the page, those without commands left out."""
    parts = re.split(r"^## ", text or PAGE.read_text(), flags=re.MULTILINE)[1:]
    found = [Section(part.partition("\n")[0], tuple(_commands(part))) for part in parts]
    return [section for section in found if section.commands]


def same(line: str) -> str:
    """Return a line without what differs from run to run."""
    for varying, word in _VARYING:
        line = varying.sub(word, line)
    return line.strip()


def missing(shown: str, said: str) -> list[str]:
    """Return the lines that are shown and that nothing of what was said is like."""
    there = {same(line) for line in said.splitlines()}
    return [line for line in shown.splitlines() if same(line) not in there]


def _commands(text: str) -> Iterator[Command]:
    for block in _BLOCK.finditer(text):
        if block[1]:
            continue
        if block[2] == "sh":
            yield Command(block[3].strip())
        else:
            yield from _typed(block[3])


def _typed(block: str) -> Iterator[Command]:
    """Yield what follows each prompt, lines that end in a backslash taken together, and the lines up to the next."""
    for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = each.splitlines()
        last = next(index for index, line in enumerate(lines) if not line.endswith("\\"))
        yield Command("\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :]).strip())
