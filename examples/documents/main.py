"""The agent `documents`: cuts the text of PDFs into chunks for retrieval, a page at a time.

Each page is a step: its part of the artifact and what is to be counted of it are kept in one write. So when a worker dies in
the middle, the next attempt is given the counts of the pages that are safe, and goes on behind them. Artifact and steps
are named after the file's content and the chunking, so that what is there under a name is of exactly this work.
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
INLINE_BYTES = 1024 * 1024  # larger files are read piece by piece instead of coming in one line


def work(run):
    messages = client_messages(run)
    found = files(messages)
    if not found:
        return input_required("Which PDF? Attach one, or send its address.", {"question": "file"})
    try:
        chunking = choice.wanted(messages, run.metadata)
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
    """Opens every file before any output, so that a broken one fails the task before work is done for the others."""
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
    """One document on its way into one artifact."""

    number: int
    document: Document
    digest: str
    chunking: object
    chunks: int = 0
    characters: int = 0
    empty_pages: list = field(default_factory=list)

    @property
    def artifact_id(self):
        return f"{self.number}-{self.digest[:16]}-{self.chunking.label}"

    def run(self, run):
        every, working = max(5, self.document.pages // 20), False
        for page in range(1, self.document.pages + 1):
            run.check()
            if not working:
                self.tell_start(run, page)
    def page(self, page):
        chunks = self.chunking.cut(page, self.document.text(page))
        content = {"page": page, "chunks": chunks}
        if not chunks:
            content["note"] = "no text on this page; a scan needs OCR first"
        return content

    def count(self, content):
        self.chunks += len(content["chunks"])
        self.characters += sum(chunk["end"] - chunk["start"] for chunk in content["chunks"])
        if not content["chunks"]:
            self.empty_pages.append(int(content["page"]))

    def count_done(self, run, done):
        """Counts the pages of earlier attempts: from the record, or where that is too large to be shown, from the file."""
        if done == 0:
            return
        try:
            contents = recorded(run, self.artifact_id)[:done]
        except RequestFailed:
            contents = []
        for content in contents:
            self.count(content)
        for page in range(len(contents) + 1, done + 1):
            run.check()
            self.count(self.page(page))

    def tell(self, run, page, what):
        text = f"{self.document.name}: page {page} of {self.document.pages} {what}"
        if what == "starting before":
            text = f"{self.document.name}: {self.document.pages} pages"
        run.status(text, {"file": self.document.name, "page": page, "pages": self.document.pages})

    def report(self):
        return {
            "file": self.document.name, "artifactId": self.artifact_id, "pages": self.document.pages, "chunks": self.chunks,
            "characters": self.characters, "emptyPages": self.empty_pages, **self.document.facts(),
        }


def recorded(run, artifact_id):
    """The parts of an artifact of this task up to the first that is kept apart for its size."""
    task = run.request("task", taskId=run.task["taskId"])["task"]
    contents = []
    for artifact in (task or {}).get("artifacts", []):
        for part in artifact["parts"] if artifact["artifactId"] == artifact_id else []:
            if "data" not in part:
                return contents
            contents.append(part["data"])
    return contents


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
