"""Cuts the text of a page into chunks.

A chunk is a slice of the page's text: `text == page_text[start:end]`, counted in Unicode characters, without white space at
its ends. Chunking is deterministic in every process, and a repeated attempt relies on that.
"""

import re
from dataclasses import dataclass

MIN_SIZE, MAX_SIZE, DEFAULT_SIZE = 20, 20_000, 1_000
KINDS = ("page", "paragraph", "fixed")

_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_SENTENCE_END = (".", "!", "?", ":", "\"", "”", "…")


class BadChunking(ValueError):
    """The requested chunking is impossible. The text says what is possible."""


@dataclass(frozen=True)
class Chunking:
    """A chunking: one chunk a page, one a paragraph, or windows of `size` characters that share `overlap`."""

    kind: str
    size: int = 0
    overlap: int = 0

    def __post_init__(self):
        if self.kind not in KINDS:
            raise BadChunking(f"There is no chunking \"{self.kind[:40]}\".")
        if self.kind != "fixed":
            return
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise BadChunking(f"The size must be {MIN_SIZE} to {MAX_SIZE} characters, not {self.size}.")
        if not 0 <= self.overlap <= self.size // 2:
            raise BadChunking(f"The overlap must be 0 to {self.size // 2} characters, half of the size, not {self.overlap}.")

    @property
    def label(self):
        """A short unambiguous name, such as `page` or `fixed-800-100`."""
        return f"fixed-{self.size}-{self.overlap}" if self.kind == "fixed" else self.kind

    def as_json(self):
        if self.kind == "fixed":
            return {"chunking": self.kind, "size": self.size, "overlap": self.overlap}
        return {"chunking": self.kind}

    def cut(self, page, text):
        """The chunks of a page: a list of `{"id", "text", "start", "end"}`, ids unique in the document."""
        if self.kind == "page":
            slices = [(0, len(text))]
        elif self.kind == "paragraph":
            slices = _paragraphs(text)
        else:
            slices = _windows(text, self.size, self.overlap)
        trimmed = [_trim(text, start, end) for start, end in slices]
        return [
            {"id": f"{page}-{number}", "text": text[start:end], "start": start, "end": end}
            for number, (start, end) in enumerate((s for s in trimmed if s[0] < s[1]), 1)
        ]


def _trim(text, start, end):
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _paragraphs(text):
    """Splits at blank lines. PDFs rarely have them, so a short line that ends a sentence also ends a paragraph."""
    slices, start = [], 0
    for gap in [*_BLANK_LINE.finditer(text), None]:
        end = gap.start() if gap else len(text)
        slices += _by_short_lines(text, start, end)
        start = gap.end() if gap else end
    return slices


def _by_short_lines(text, start, end):
    lines = text[start:end].splitlines(keepends=True)
    full = max((len(line.strip()) for line in lines), default=0)
    slices, begin, at = [], start, start
    for line in lines:
        at += len(line)
        stripped = line.strip()
        if stripped.endswith(_SENTENCE_END) and len(stripped) < full * 0.75:
            slices.append((begin, at))
            begin = at
    return [*slices, (begin, end)]


def _windows(text, size, overlap):
    start, slices = 0, []
    while True:
        end = min(start + size, len(text))
        if end < len(text):
            end = _word_end(text, end, lowest=end - size // 5)
        slices.append((start, end))
        if end == len(text):
            return slices
        # The cut is at most a fifth before the window's end and the overlap at most half of it, so this advances.
        start = end - overlap


def _word_end(text, end, lowest):
    """The last position up to `end` that splits no word; `end` itself when there is none down to `lowest`."""
    for at in range(end, lowest, -1):
        if text[at].isspace() or text[at - 1].isspace():
            return at
    return end
