"""The pages of documentation: their code blocks, what each says it is, and the commands in it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = tuple(
    str(path.relative_to(ROOT))
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "deployments/README.md", "benchmarks/README.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    )
)
# What a block's first line may say: where its text lies.
_FILE = re.compile(r"(?:#|--) ([\w./-]+\.\w+)\n")
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A code block: its page, the line that it begins at, its language, and why it is not run, where a page says so."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None = None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that its first line names."""
        named = _FILE.match(self.text)
        return named[1] if named else None

    def commands(self) -> Iterator[list[str]]:
        """Yield the words of each command, of a pipe those of its last; a `console` shows what commands print, too."""
        text = self.text.replace("\\\n", " ")
        for line in text.splitlines():
            if self.language == "console" and not line.startswith("$ "):
                continue
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|>")
            lexer.whitespace_split = True
            words = list(lexer)
            if "|" in words:
                words = words[words.index("|") + 1 :]
            if ">" in words:
                words = words[: words.index(">")]
            if words:
                yield words


def blocks(page: str) -> list[Block]:
    """Return a page's code blocks in their order, those within lists, too."""
    found: list[Block] = []
    reason: str | None = None
    for token in MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8")):
        if token.type == "html_block":
            said = _NOT_RUN.search(token.content)
            reason = said[1] if said else None
        elif token.type in ("fence", "code_block"):
            assert token.map is not None
            found.append(Block(page, token.map[0] + 1, token.info, token.content, reason))
            reason = None
    return found
