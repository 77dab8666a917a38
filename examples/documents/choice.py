"""Finds the chunking that the client asks for: in a data part, in metadata, or in plain words. Without one, asks for it."""

import re

from chunking import DEFAULT_SIZE, KINDS, MAX_SIZE, MIN_SIZE, BadChunking, Chunking
from protocol import input_required

URL = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_BY = r"\b(?:by|per|every|each)\s+"
_PAGE = re.compile(_BY + r"pages?\b|\bpage[- ]?wise\b", re.IGNORECASE)
_PARAGRAPH = re.compile(_BY + r"paragraphs?\b|\bparagraph[- ]?wise\b", re.IGNORECASE)
_FIXED = re.compile(r"\bfixed\b|\b\d+\s*(?:characters|chars)\b", re.IGNORECASE)
_BARE = re.compile(r"\W*(?:the\s+)?(page|paragraph)s?(?:,?\s+please)?\W*", re.IGNORECASE)
_OVERLAP = re.compile(r"overlap\D{0,16}?(\d+)", re.IGNORECASE)
_OF_OVERLAP = re.compile(r"(\d+)\s*(?:characters|chars)?\s*(?:of\s+)?overlap", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "chunking": {"enum": list(KINDS)},
        "size": {"type": "integer", "minimum": MIN_SIZE, "maximum": MAX_SIZE, "default": DEFAULT_SIZE,
                 "description": "characters in a chunk; for \"fixed\""},
        "overlap": {"type": "integer", "minimum": 0, "default": 0,
                    "description": "characters shared with the chunk before, at most half of the size; for \"fixed\""},
    },
    "required": ["chunking"],
}
EXAMPLES = [{"chunking": "page"}, {"chunking": "paragraph"}, {"chunking": "fixed", "size": 800, "overlap": 100}]
QUESTION = (
    "How shall the text be cut into chunks? Answer \"by page\" (one chunk a page), \"by paragraph\", or \"fixed 800\" or "
    f"\"fixed 800 overlap 100\" (that many characters, {MIN_SIZE} to {MAX_SIZE})."
)


def find_chunking(messages, request_metadata):
    """The chunking that the client's messages (oldest first) ask for. The newest message that names one decides; None if none does.

    Raises `BadChunking` when that message asks for something impossible.
    """
    for message in reversed(messages):
        for data in [*_data(message), message.get("metadata")]:
            if isinstance(data, dict) and data.get("chunking") is not None:
                return from_data(data)
        texts = " \n".join(part["text"] for part in message["parts"] if "text" in part)
        if (chunking := from_text(texts)) is not None:
            return chunking
    if request_metadata.get("chunking") is not None:
        return from_data(request_metadata)
    return None


def question(problem=None):
    """The question to the client, in words and as a JSON Schema."""
    text = f"{problem} {QUESTION}" if problem else QUESTION
    return input_required(text, {"question": "chunking", "schema": SCHEMA, "examples": EXAMPLES})


def from_data(data):
    kind = data["chunking"]
    if not isinstance(kind, str):
        raise BadChunking("\"chunking\" must be a text.")
    if kind != "fixed":
        return Chunking(kind.strip().lower())
    return Chunking("fixed", _integer(data, "size", DEFAULT_SIZE), _integer(data, "overlap", 0))


def from_text(text):
    """The chunking that plain words name, or None. Raises `BadChunking` when they name several."""
    text = URL.sub(" ", text)
    bare = _BARE.fullmatch(text)
    if bare:
        return Chunking(bare[1].lower())
    named = [kind for kind, words in (("page", _PAGE), ("paragraph", _PARAGRAPH), ("fixed", _FIXED)) if words.search(text)]
    if len(named) > 1:
        raise BadChunking(f"That names several chunkings: {', '.join(named)}.")
    if not named:
        return None
    return _fixed(text) if named == ["fixed"] else Chunking(named[0])


def _fixed(text):
    text = text[_FIXED.search(text).start():]
    overlap = _OVERLAP.search(text) or _OF_OVERLAP.search(text)
    if overlap:
        text = text[:overlap.start()] + " " + text[overlap.end():]
    numbers = [_number(found) for found in _NUMBER.findall(text)]
    size = numbers[0] if numbers else DEFAULT_SIZE
    if overlap:
        return Chunking("fixed", size, _number(overlap[1]))
    return Chunking("fixed", size, numbers[1] if len(numbers) > 1 else 0)


def _number(digits):
    """A number of at most nine digits: anything longer is too large, and slow to parse."""
    return int(digits[:9])


def _data(message):
    return [part["data"] for part in message["parts"] if "data" in part]


def _integer(data, name, default):
    """A whole number. Some clients send 800.0 for 800."""
    number = data.get(name, default)
    if number is None:
        return default
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number != number // 1:
        raise BadChunking(f"\"{name}\" must be a whole number.")
    return int(number)
