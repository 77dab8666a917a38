"""Finds the files in a client's messages.

The answer to a question starts a new run, in which only the last message has its files inline. Files of earlier messages are
references in the history.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from choice import URL


@dataclass(frozen=True)
class Source:
    """The source of a file: a part, or an address."""

    name: str
    part: dict | None = None
    url: str | None = None


def client_messages(run):
    """The client's messages, oldest first. The last one has its parts inline."""
    messages = [message for message in run.history if message.get("role") == "ROLE_USER"]
    last = run.message
    return [message for message in messages if message.get("messageId") != last.get("messageId")] + [last]


def files(messages):
    """The files of all messages, in the order in which they were sent."""
    found = []
    for message in messages:
        here = [_of_part(part, len(found) + 1) for part in message["parts"]]
        here = [source for source in here if source is not None] or _in_words(message)
        found += [source for source in here if source not in found or source.url is None]
    return found


def _of_part(part, number):
    fallback = f"document-{number}.pdf"
    if "raw" in part or part.get("large", {}).get("kind") == "raw":
        return Source(_name(part.get("filename")) or fallback, part=part)
    if "url" in part:
        return Source(_name(part.get("filename")) or _name_of_url(part["url"]) or fallback, url=part["url"])
    return None


def _in_words(message):
    """Addresses in the text of a message that has no file."""
    text = " ".join(part["text"] for part in message["parts"] if "text" in part)
    urls = [url.rstrip(".,;:!?)]}'") for url in URL.findall(text)]
    return [Source(_name_of_url(url) or "document.pdf", url=url) for url in dict.fromkeys(urls)]


def _name_of_url(url):
    try:
        return _name(unquote(urlsplit(url).path))
    except ValueError:
        return None


def _name(text):
    """The last segment of a path, without control characters."""
    last = re.split(r"[/\\]", text or "")[-1]
    return "".join(char for char in last if char.isprintable()).strip()[:200] or None
