"""The agent `documents`: cuts the text of PDFs into chunks for retrieval, a page at a time.

Each page is a step: its part of the artifact and its counts are stored in one write. When a worker dies midway, the next attempt
reads the counts of the stored pages and continues after them. Artifact and steps are named after the file's content and the
chunking, so a name always stands for the same work.
"""

import hashlib
from dataclasses import dataclass, field

import choice
from chunking import BadChunking
from extract import Document, Unusable
from fetch import Unreachable, fetch
from protocol import completed, failed, input_required, serve
from sources import client_messages, files

VERSION = "1.0.0"
MAX_FILES = 20
MAX_TOTAL_BYTES = 100 * 1024 * 1024
INLINE_BYTES = 1024 * 1024  # larger files are read in pieces rather than sent in one line


def work(run):
    messages = client_messages(run)
    found = files(messages)
    if not found:
        return input_required("Which PDF? Attach one, or send its address.", {"question": "file"})
    try:
        chunking = choice.find_chunking(messages, run.metadata)
    except BadChunking as problem:
        return choice.question(str(problem))
    if chunking is None:
        answered = run.task["turn"] > 1
        return choice.question("That does not say which chunking." if answered else None)
    try:
        jobs = [Job(number, *opened, chunking) for number, opened in enumerate(open_all(run, found), 1)]
        for job in jobs:
            job.run(run)
    except Unusable as problem:
        return failed(str(problem), problem.cause)
    except Unreachable as problem:
        return failed(f"{problem} Send the task again later, or attach the file.", retryable=True, retry_after=problem.after)
    return completed(summary(jobs), {**chunking.as_json(), "documents": [job.report() for job in jobs]})


def open_all(run, found):
    """Opens all files before any output, so that a broken one fails the task before any work."""
    if len(found) > MAX_FILES:
        raise Unusable(f"These are {len(found)} files; send at most {MAX_FILES} in a task.")
    total, opened = 0, []
    for source in found:
        run.check()
        if source.url is not None:
            run.status(f"Fetching {source.name}", {"file": source.name})
            content = fetch(source.url, run.check)
        else:
            content = run.content(source.part)
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            raise Unusable(f"The files have more than {MAX_TOTAL_BYTES // 1024 // 1024} MiB together. Send fewer in a task.")
        opened.append((Document(source.name, content), hashlib.sha256(content).hexdigest()))
    return opened


@dataclass
class Job:
    """The work on one document, which becomes one artifact."""

    number: int
    document: Document
    digest: str
    chunking: object
    chunks: int = 0
    characters: int = 0
    empty_pages: list = field(default_factory=list)
    started: bool = False  # this run has worked on a page

    @property
    def artifact_id(self):
        return f"{self.number}-{self.digest[:16]}-{self.chunking.label}"

    def run(self, run):
        every = max(5, self.document.pages // 20)
        for page in range(1, self.document.pages + 1):
            run.check()
            counts = run.step(f"{self.artifact_id} page {page}", lambda step: self.index(run, step, page))
            self.add_counts(page, counts)
            if self.started and (page % every == 0 or page == self.document.pages):
                self.report_progress(run, page, "done")

    def index(self, run, step, page):
        """The work of a step: sends a page, and returns its counts."""
        if not self.started:
            self.started = True
            self.report_progress(run, page - 1, "going on behind" if page > 1 else "starting before")
        content = self.page(page)
        details = {} if page > 1 else {
            "name": f"{self.document.name}.chunks",
            "description": f"Text of {self.document.name} in chunks, a part a page",
            "metadata": {
                "file": self.document.name, "pages": self.document.pages, **self.chunking.as_json(), **self.document.facts(),
            },
        }
        part = {"data": content, "mediaType": "application/json"}
        step.artifact(self.artifact_id, [part], append=page > 1, last=page == self.document.pages, **details)
        chunks = content["chunks"]
        return {"chunks": len(chunks), "characters": sum(chunk["end"] - chunk["start"] for chunk in chunks)}

    def page(self, page):
        chunks = self.chunking.cut(page, self.document.text(page))
        content = {"page": page, "chunks": chunks}
        if not chunks:
            content["note"] = "no text on this page; a scan needs OCR first"
        return content

    def add_counts(self, page, counts):
        self.chunks += counts["chunks"]
        self.characters += counts["characters"]
        if not counts["chunks"]:
            self.empty_pages.append(page)

    def report_progress(self, run, page, what):
        text = f"{self.document.name}: page {page} of {self.document.pages} {what}"
        if what == "starting before":
            text = f"{self.document.name}: {self.document.pages} pages"
        run.status(text, {"file": self.document.name, "page": page, "pages": self.document.pages})

    def report(self):
        return {
            "file": self.document.name, "artifactId": self.artifact_id, "pages": self.document.pages, "chunks": self.chunks,
            "characters": self.characters, "emptyPages": self.empty_pages, **self.document.facts(),
        }


def summary(jobs):
    lines = []
    for job in jobs:
        line = f"{job.document.name}: {job.document.pages} pages, {job.chunks} chunks, {job.characters} characters."
        if len(job.empty_pages) == job.document.pages:
            line += " No page has text: this is probably a scan, which needs OCR first."
        elif job.empty_pages:
            line += f" Without text: page {', '.join(map(str, job.empty_pages[:20]))}{' …' if job.empty_pages[20:] else ''}."
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    serve(work, name="documents", version=VERSION, max_inflight=4, inline_parts=INLINE_BYTES)
