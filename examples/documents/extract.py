"""Reads the text of a PDF, page by page.

Any problem with a file raises `Unusable`, with a sentence for the client. No content of a file raises anything else.
"""

import io
import logging
import re

import pypdf
from pypdf.errors import DependencyError, FileNotDecryptedError

# Its details about damaged files would flood the log.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)
_BREAKS = re.compile(r"\r\n?|[\f\v\u2028\u2029]")


class Unusable(Exception):
    """The file can never be processed. The text is for the client, `cause` for the operator."""

    def __init__(self, text, cause=None):
        super().__init__(text)
        self.cause = cause or text


class Document:
    """An open PDF."""

    def __init__(self, name, content):
        self.name = name
        if not content:
            raise Unusable(f"{name} is empty. Send the file again.")
        if b"%PDF-" not in content[:1024]:
            raise Unusable(f"{name} is not a PDF. Send a PDF file, or the address of one.")
        try:
            self._reader = pypdf.PdfReader(io.BytesIO(content))
            self._decrypt()
            self.pages = len(self._reader.pages)
        except Unusable:
            raise
        except (DependencyError, FileNotDecryptedError) as error:
            raise self._locked() from error
        except Exception as error:
            raise self._broken("cannot be opened", error) from error
        if self.pages == 0:
            raise Unusable(f"{name} has no pages. Send a PDF with at least one page.")

    def facts(self):
        """Title and author, if the file has them."""
        try:
            info = self._reader.metadata or {}
            named = {"title": info.get("/Title"), "author": info.get("/Author")}
            return {key: clean(str(value)).strip()[:500] for key, value in named.items() if value and str(value).strip()}
        except Exception:  # a damaged information dictionary does not affect the pages
            return {}

    def text(self, page):
        """The text of a page (from 1), in lines. Empty when the page has no text."""
        try:
            return clean(self._reader.pages[page - 1].extract_text())
        except Exception as error:
            raise self._broken(f"cannot be read on page {page}", error) from error

    def _decrypt(self):
        # An empty password opens files that are only protected against changes.
        if self._reader.is_encrypted and not self._reader.decrypt(""):
            raise self._locked()

    def _locked(self):
        return Unusable(f"{self.name} is protected by a password. Remove the protection and send it again.")

    def _broken(self, how, error):
        return Unusable(
            f"{self.name} {how}: the file is damaged. Save it anew from the program that made it, or repair it, and send it again.",
            f"{self.name} {how}: {repr(error)[:300]}",
        )


def clean(text):
    """Text for JSON and databases: without lone surrogates and NUL, with line feeds only."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _BREAKS.sub("\n", whole.replace("\0", ""))
