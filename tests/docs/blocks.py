"""The code blocks of pages: which are run, which are not and why.

A block without a language holds commands, one a line; `text` and `json` are no code. A block is run, by a test that
takes it from here, unless a comment stands above it: `<!-- not run: REASON -->`.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
NO_CODE = ("text", "json")
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A block of a page, which is named as from the root of the repository.

    Attributes:
        page: The page's name.
        language: "" for commands.
        text: What stands in it.
        reason: Why it is not run; "" where it is.
    """

    page: str
    language: str
    text: str
    reason: str

    @property
    def lines(self) -> list[str]:
        """The lines, with those that end in a backslash and the next one as one."""
        return self.text.replace("\\\n", " ").splitlines()


def blocks(page: Path) -> list[Block]:
    """All that are code."""
    name, text = page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
    found = (Block(name, b["language"], b["text"], b["reason"] or "") for b in _BLOCK.finditer(text))
    return [block for block in found if block.language not in NO_CODE]


def to_run(page: str, language: str) -> list[str]:
    """The blocks of a page in a language that are to be run."""
    return [b.text for b in blocks(ROOT / page) if b.language == language and not b.reason]


def commands(page: str) -> list[list[str]]:
    """The words after `payattention` of a page's commands that are to be run."""
    return [words for b in blocks(ROOT / page) if not b.language and not b.reason for words in calls(b)]


def calls(block: Block) -> Iterator[list[str]]:
    """The words after `payattention` in each line of a block of commands that calls it, up to a pipe or redirection."""
    for line in block.lines:
        words = shlex.split(line, comments=True)
        if "payattention" in words:
            called = words[words.index("payattention") + 1 :]
            yield called[: next((n for n, word in enumerate(called) if word in ("|", ">", "&")), len(called))]
