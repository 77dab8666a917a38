"""The official A2A SDK against the agent `documents`: each scenario checks one promise and prints a line of JSON.

    documents_client.py URL [URL] --scenario NAME [--key KEY]

With two addresses, tasks streamed from the first server are read back from the second.
"""

import argparse
import asyncio
import contextlib
import http.server
import json
import sys
import threading
import time
import uuid
from pathlib import Path

import httpx
from a2a.client import ClientConfig, create_client
from a2a.types import (
    CancelTaskRequest, GetTaskRequest, ListTasksRequest, Message, Part, Role, SendMessageRequest, Task, TaskState,
)
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value

sys.path.insert(0, str(Path(__file__).parents[2] / "examples/documents/tests"))
import pdfs  # noqa: E402

EVENT_TIMEOUT = 100  # seconds without any event
PDF = "application/pdf"


class Record:
    """Events of a stream, folded into a task as a client would, with chunks and statuses in order."""

    def __init__(self):
        self.task, self.chunks, self.states, self.progress = Task(), [], [], []

    def apply(self, event):
        kind = event.WhichOneof("payload")
        if kind == "task":
            self.task.CopyFrom(event.task)
            self.states.append(self.state())
        elif kind == "status_update":
            self.task.status.CopyFrom(event.status_update.status)
            self.states.append(self.state())
            progress = MessageToDict(event.status_update.metadata)
            if "page" in progress:
                self.progress.append((int(progress["page"]), int(progress["pages"])))
        elif kind == "artifact_update":
            self.chunks.append(event.artifact_update)
            self._fold(event.artifact_update)
        else:
            raise AssertionError(f"an event of kind {kind}")

    def _fold(self, update):
        known = [artifact for artifact in self.task.artifacts if artifact.artifact_id == update.artifact.artifact_id]
        if update.append:
            known[0].parts.extend(update.artifact.parts)
        elif known:
            known[0].CopyFrom(update.artifact)
        else:
            self.task.artifacts.append(update.artifact)

    def state(self):
        return TaskState.Name(self.task.status.state).removeprefix("TASK_STATE_")

    def said(self):
        return " ".join(part.text for part in self.task.status.message.parts if part.HasField("text"))


def contents(artifact):
    return [MessageToDict(part.data) for part in artifact.parts]


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: found {str(found)[:2000]}, expected {str(expected)[:2000]}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def file(content, name="report.pdf"):
    return Part(raw=content, filename=name, media_type=PDF)


def data(value):
    return Part(data=ParseDict(value, Value()), media_type="application/json")


class Scenarios:
    def __init__(self, client, other):
        self.client, self.other = client, other

    async def send(self, record, *parts):
        """Sends a message, to the record's task if it has one, and yields after each event until the stream ends."""
        parts = [Part(text=part) if isinstance(part, str) else part for part in parts]
        message = Message(message_id=str(uuid.uuid4()), role=Role.ROLE_USER, parts=parts)
        if record.task.id:
            message.task_id, message.context_id = record.task.id, record.task.context_id
        async for event in self.client.send_message(SendMessageRequest(message=message)):
            record.apply(event)
            yield record

    async def ended(self, record, *parts):
        async for _ in self.send(record, *parts):
            pass
        return record

    async def same(self, record):
        """The task read back, alone and in a list, equals the streamed task."""
        task = await self.other.get_task(GetTaskRequest(id=record.task.id))
        equal(MessageToDict(task.status), MessageToDict(record.task.status), "status of the task")
        equal([MessageToDict(a) for a in task.artifacts], [MessageToDict(a) for a in record.task.artifacts], "artifacts of the task")
        listed = await self.other.list_tasks(ListTasksRequest(context_id=task.context_id, include_artifacts=True))
        equal([found.id for found in listed.tasks], [task.id], "tasks of the context")
        equal(MessageToDict(listed.tasks[0].status), MessageToDict(task.status), "status in the list")
        equal(list(listed.tasks[0].artifacts), list(task.artifacts), "artifacts in the list")
        return task

    def whole(self, artifact, pages, lines):
        """Every page of a report appears once, in order, with its text."""
        found = contents(artifact)
        equal([int(content["page"]) for content in found], list(range(1, pages + 1)), "pages of the artifact")
        for content in found:
            text = "\n".join(chunk["text"] for chunk in content["chunks"])
            page = int(content["page"])
            equal(text, "\n".join(pdfs.line(page, number) for number in range(1, lines + 1)), f"text of page {page}")

    async def pages(self):
        """A file of 12 pages, by page: chunks in order, progress, completion."""
        record = await self.ended(Record(), "by page", file(pdfs.report(12, title="Leases", author="A. Writer")))
        equal(record.states[0] in ("SUBMITTED", "WORKING"), True, f"first state of {record.states}")
        equal((set(record.states[1:-1]), record.states[-1]), ({"WORKING"}, "COMPLETED"), "states")
        equal([chunk.append for chunk in record.chunks], [False] + [True] * 11, "append")
        equal([chunk.last_chunk for chunk in record.chunks], [False] * 11 + [True], "last chunk")
        equal([int(contents(chunk.artifact)[0]["page"]) for chunk in record.chunks], list(range(1, 13)), "pages streamed")
        equal(record.progress, [(0, 12), (5, 12), (10, 12), (12, 12)], "progress")
        equal(len(record.task.artifacts), 1, "number of artifacts")
        artifact = record.task.artifacts[0]
        equal(artifact.name, "report.pdf.chunks", "name")
        holds({"title": "Leases", "author": "A. Writer"}.items() <= MessageToDict(artifact.metadata).items(), "title and author")
        self.whole(artifact, 12, 20)
        holds(record.said().startswith("report.pdf: 12 pages, 12 chunks, "), record.said())
        await self.same(record)
        return {"chunks": len(record.chunks), "states": record.states}

    async def asks(self):
        """No chunking: a question. An unclear reply: the question again. Then the same task continues, with a file stored separately."""
        content = pdfs.report(30, lines=60, compress=False)
        holds(len(content) > 64 * 1024, f"{len(content)} bytes")
        record = await self.ended(Record(), "Here is a report", file(content))
        first = record.task.id
        equal(record.state(), "INPUT_REQUIRED", "state after the file")
        asked = MessageToDict(record.task.status.message.parts[1].data)
        equal(asked["schema"]["properties"]["chunking"]["enum"], ["page", "paragraph", "fixed"], "choices")
        await self.same(record)
        await self.ended(record, "what do you mean?")
        equal(record.state(), "INPUT_REQUIRED", "state after an unclear answer")
        holds("does not say" in record.said(), record.said())
        await self.ended(record, data({"chunking": "fixed", "size": 300, "overlap": 50}))
        equal((record.state(), record.task.id), ("COMPLETED", first), "state and task after the answer")
        found = contents(record.task.artifacts[0])
        equal([int(page["page"]) for page in found], list(range(1, 31)), "pages")
        holds(all(len(chunk["text"]) <= 300 for page in found for chunk in page["chunks"]), "size of the chunks")
        task = await self.same(record)
        said = [message for message in task.history if message.role == Role.ROLE_USER]
        equal(said[0].parts[1].raw, content, "the file in the history")
        return {"turns": len(said)}

    async def url(self):
        """A file by reference."""
        content = pdfs.report(3)
        with served({"/files/by%20address.pdf": content}) as base:
            record = await self.ended(Record(), "by page", Part(url=f"{base}/files/by%20address.pdf", media_type=PDF))
            equal((record.state(), record.said()[:25]), ("COMPLETED", "by address.pdf: 3 pages, "), "outcome")
            self.whole(record.task.artifacts[0], 3, 20)
            await self.same(record)
            missing = await self.ended(Record(), "by page", Part(url=f"{base}/none.pdf", media_type=PDF))
            equal(missing.state(), "FAILED", "state for a file that is not there")
            holds("404" in missing.said(), missing.said())
        return {}

    async def broken(self):
        """A corrupt file fails the task with a clear error and without artifacts."""
        content = pdfs.report(12)
        record = await self.ended(Record(), "by page", file(content[: len(content) // 3], "torn.pdf"))
        equal((record.state(), len(record.task.artifacts)), ("FAILED", 0), "state and artifacts")
        holds("torn.pdf" in record.said() and "damaged" in record.said(), record.said())
        await self.same(record)
        return {"said": record.said()}

    async def several(self):
        """Two files are two artifacts."""
        record = await self.ended(Record(), "by page", file(pdfs.report(4), "a.pdf"), file(pdfs.report(2), "b.pdf"))
        equal([artifact.name for artifact in record.task.artifacts], ["a.pdf.chunks", "b.pdf.chunks"], "artifacts")
        self.whole(record.task.artifacts[0], 4, 20)
        self.whole(record.task.artifacts[1], 2, 20)
        await self.same(record)
        return {}

    async def large(self):
        """A file of more than a MiB arrives complete, and its record is exact."""
        content = pdfs.report(300, lines=60, compress=False)
        holds(len(content) > 1024 * 1024, f"{len(content)} bytes")
        record = await self.ended(Record(), "by page", file(content))
        equal(record.state(), "COMPLETED", f"state ({record.said()})")
        self.whole(record.task.artifacts[0], 300, 60)
        task = await self.same(record)
        equal(task.history[0].parts[1].raw, content, "the file in the history")
        return {"bytes": len(content)}

    async def cancel(self):
        """A cancel in the middle ends the task: earlier output stays, and nothing follows."""
        record, answer = Record(), None
        async for _ in self.send(record, "by page", file(pdfs.report(1500, lines=60))):
            if len(record.chunks) == 5 and answer is None:
                answer = await self.other.cancel_task(CancelTaskRequest(id=record.task.id))
        equal(record.state(), "CANCELED", "state")
        equal(TaskState.Name(answer.status.state), "TASK_STATE_CANCELED", "answer to the cancel")
        seen = len(record.chunks)
        holds(5 <= seen < 1500, f"{seen} chunks")
        await self.same(record)
        return {"chunks": seen}

    async def survive(self):
        """The worker of a large document is killed meanwhile; the document is completed, each page once."""
        record, longest, heard = Record(), 0.0, time.monotonic()
        async for _ in self.send(record, "by page", file(pdfs.report(800, lines=60))):
            now = time.monotonic()
            longest, heard = max(longest, now - heard), now
        equal(record.state(), "COMPLETED", f"state ({record.said()})")
        self.whole(record.task.artifacts[0], 800, 60)
        report = MessageToDict(record.task.status.message.parts[1].data)["documents"][0]
        equal((report["pages"], report["chunks"]), (800, 800), "the summary")
        characters = sum(len(chunk["text"]) for page in contents(record.task.artifacts[0]) for chunk in page["chunks"])
        equal(report["characters"], characters, "characters of the summary")
        await self.same(record)
        first = [chunk for chunk in record.chunks if not chunk.append]
        return {"chunks": len(record.chunks), "begun": len(first), "silence": round(longest, 1)}


@contextlib.contextmanager
def served(files):
    """A web server with these files; returns its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--scenario", action="append", required=True)
    parser.add_argument("--key")
    arguments = parser.parse_args()
    headers = {"Authorization": f"Bearer {arguments.key}"} if arguments.key else {}
    async with httpx.AsyncClient(headers=headers, timeout=EVENT_TIMEOUT, trust_env=False) as connection:
        config = ClientConfig(httpx_client=connection)
        clients = [await create_client(url, config) for url in arguments.urls]
        scenarios = Scenarios(clients[0], clients[-1])
        for name in arguments.scenario:
            print(json.dumps({"scenario": name, **await getattr(scenarios, name)()}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
