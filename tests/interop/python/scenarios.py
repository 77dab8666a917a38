"""Scenarios for every Python SDK, in any version and binding. Each checks one promise and prints a line of JSON.

    sdk_1.py URL[,URL] BINDING [--protocol VERSION] [--key KEY] SCENARIO...

With two addresses, a client that loses its connection to the first reconnects to the second.
An SDK is a class like `sdk_1.Sdk`. It takes and returns the values below, so that checks do not depend on the SDK. Its `drops`
names the features that it lacks: "file labels" (names and types), "named files" (it cannot read them), "history length".
"""

import argparse
import asyncio
import itertools
import json
import uuid
from contextlib import aclosing
from dataclasses import dataclass, field

SCENARIO_TIMEOUT = 60  # seconds without an answer or an event
SILENCE = 1.2  # seconds; the server of the test sends a keep-alive every 0.3
CHUNK_COUNT = 40
UNKNOWN_TASK_ID = "018f2f6e-7b7a-7000-8000-000000000001"
BYTES = bytes(range(256)) * 5
WEBHOOK = "https://example.com/webhook"
ADDRESS = "https://example.com/files/a%20report.pdf"
DATA = {
    "answer": 42,
    "share": 0.25,
    "yes": True,
    "nothing": None,
    "list": [1, "x", [], [None, {"deep": {"deeper": [{}]}}]],
    "text": "zwölf Boxkämpfer \N{GRINNING FACE}",
}
# Every character that some line splitter takes for a line end, other controls, direction marks, and
# characters outside of the basic plane. A letter stands between any two of them, so that none is lost at the
# edge of a text or merged with its neighbour.
LINE_ENDS = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
CONTROLS = [chr(code) for code in (*range(1, 0x20), *range(0x7F, 0xA0))]
MARKS = [*"\u00ad\u200b\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"]
ASTRAL = ["\U0001F600", "\U00010000", "\U0010FFFF", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627"]
SEPARATED = "a" + "b".join([*LINE_ENDS, *CONTROLS, *MARKS, *ASTRAL]) + "c"


@dataclass
class Artifact:
    """Parts are `("text", text)`, `("raw", bytes, name, type)`, `("url", address, name, type)` and `("data", value)`."""

    id: str
    name: str
    parts: list


@dataclass
class Task:
    """States are those of 1.0 without their prefix. `said` is the status text, `asked` the texts of the client's messages."""

    id: str
    context: str
    state: str
    said: str
    artifacts: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    def texts(self):
        return [part[1] for artifact in self.artifacts for part in artifact.parts]


@dataclass
class Status:
    state: str
    said: str


@dataclass
class Chunk:
    artifact: Artifact
    append: bool
    last: bool


class Record:
    """Events of a stream, folded into a task as a client would, and in their order."""

    def __init__(self):
        self.task, self.events = None, []

    def apply(self, event):
        self.events.append(event)
        if isinstance(event, Task):
            equal(len(self.events), 1, "place of the task in its stream")
            self.task = event
        elif isinstance(event, Status):
            self.task.state, self.task.said = event.state, event.said
        else:
            self._fold(event)

    def _fold(self, chunk):
        known = [artifact for artifact in self.task.artifacts if artifact.id == chunk.artifact.id]
        if chunk.append:
            known[0].parts.extend(chunk.artifact.parts)
        elif known:
            known[0].parts[:] = chunk.artifact.parts
        else:
            copy = Artifact(chunk.artifact.id, chunk.artifact.name, list(chunk.artifact.parts))
            self.task.artifacts.append(copy)

    def chunks(self):
        return [event for event in self.events if isinstance(event, Chunk)]

    def statuses(self):
        return [event for event in self.events if isinstance(event, Status)]

    def numbers(self):
        """The numbers at the beginning of the script's chunks, in the order of the task."""
        return [int(text[:7]) for text in self.task.texts()]


def equal(found, expected, what):
    if found != expected:
        raise AssertionError(f"{what}: found {str(found)[:2000]}, expected {str(expected)[:2000]}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


class Scenarios:
    def __init__(self, sdk):
        self.sdk = sdk

    async def streamed(self, *parts, task=None):
        record = Record()
        async with aclosing(self.sdk.stream(parts, task=task)) as events:
            async for event in events:
                record.apply(event)
        return record

    async def same(self, task):
        """A task read back equals the task from its stream."""
        found = await self.sdk.get(task.id)
        found.asked = task.asked = []
        equal(found, task, "the task read back")

    async def card(self):
        """The card is accepted, and a client with default settings reaches an agent that answers."""
        card = await self.sdk.card()
        holds(card["name"] and card["skills"], f"name and skills: {card}")
        equal(card["streaming"], True, "streaming")
        record = Record()
        async with aclosing(self.sdk.send_with_defaults(["hello"])) as events:
            async for event in events:
                record.apply(event)
        equal((record.task.state, record.task.texts()), ("COMPLETED", ["hello"]), "what the usual client is answered")
        return card

    async def extended(self):
        """The extended card is available where the public one announces it."""
        name, skills = await self.sdk.extended()
        card = await self.sdk.card()
        equal((name, skills), (card["name"], card["skills"]), "name and skills")

    async def send(self):
        """A send returns the completed task."""
        task = await self.sdk.send(["hello, agent"])
        equal((task.state, task.texts()), ("COMPLETED", ["hello, agent"]), "state and artifact")
        equal(task.asked, ["hello, agent"], "messages of the client")
        await self.same(task)

    async def stream(self):
        """A stream begins with the task, reports progress and chunks in order, and ends with the final state."""
        record = await self.streamed("!progress 3; chunks 4 16; complete that is all")
        holds(isinstance(record.events[0], Task), "the first event is the task")
        said = [status.said for status in record.statuses() if status.said]
        equal(said, ["step 1 of 3", "step 2 of 3", "step 3 of 3", "that is all"], "statuses")
        equal([(chunk.append, chunk.last) for chunk in record.chunks()],
              [(False, False), (True, False), (True, False), (True, True)], "chunks")
        equal(record.numbers(), [1, 2, 3, 4], "content")
        equal(record.events[-1], Status("COMPLETED", "that is all"), "last event")
        await self.same(record.task)
        return {"events": len(record.events)}

    async def turns(self):
        """A question ends the stream; the reply completes the same task. Then the same without streams."""
        record = await self.streamed("!ask which one?")
        equal((record.task.state, record.task.said), ("INPUT_REQUIRED", "which one?"), "question")
        answered = await self.streamed("the red one", task=record.task)
        equal((answered.task.id, answered.task.context), (record.task.id, record.task.context), "the task")
        equal((answered.task.state, answered.task.texts()), ("COMPLETED", ["the red one"]), "outcome")
        await self.same(answered.task)
        task = await self.sdk.send(["!ask-until yes"])
        for answer, state in [("no", "INPUT_REQUIRED"), ("yes", "COMPLETED")]:
            task = await self.sdk.send([answer], task=task)
            equal(task.state, state, f"state after {answer}")
        equal(task.asked, ["!ask-until yes", "no", "yes"], "messages of the client")

    async def get(self):
        """A task is returned with the requested length of history."""
        task = await self.sdk.send(["!ask"])
        task = await self.sdk.send(["fine"], task=task)
        equal((await self.sdk.get(task.id)).asked, ["!ask", "fine"], "whole history")
        newest = ["!ask", "fine"] if "history length" in self.sdk.drops else ["fine"]
        equal((await self.sdk.get(task.id, history=1)).asked, newest, "the newest message")

    async def list(self):
        """The tasks of a context are listed in pages, newest first, and by state."""
        context = str(uuid.uuid4())
        sent = [await self.sdk.send([text], context=context) for text in ("one", "two", "!ask three?")]
        equal({task.context for task in sent}, {context}, "context")
        newest = [task.id for task in reversed(sent)]
        first, token, total = await self.sdk.list(context, size=2)
        equal(([task.id for task in first], total), (newest[:2], 3), "first page")
        second, token, _ = await self.sdk.list(context, size=2, token=token)
        equal(([task.id for task in second], token), (newest[2:], ""), "second page")
        asking, _, _ = await self.sdk.list(context, state="INPUT_REQUIRED")
        equal([task.id for task in asking], newest[:1], "those that ask")

    async def cancel(self):
        """A cancel ends the task for the caller and for subscribers."""
        record, answer = Record(), None
        async with aclosing(self.sdk.stream(["!hang"])) as events:
            async for event in events:
                record.apply(event)
                if answer is None and record.task.state == "WORKING":
                    answer = await self.sdk.cancel(record.task.id)
        equal((answer.id, answer.state), (record.task.id, "CANCELED"), "answer to the cancel")
        equal(record.task.state, "CANCELED", "end of the stream")
        await self.same(record.task)

    async def resubscribe(self):
        """The connection is cut in the middle; a client that subscribes again misses nothing."""
        record = Record()
        async with aclosing(self.sdk.stream([f"!chunks {CHUNK_COUNT} 16 20; listen 1"])) as events:
            async for event in events:
                record.apply(event)
                if len(record.chunks()) == 5:
                    break
        await self.sdk.cut()
        again, replied = Record(), False
        async with aclosing(self.sdk.subscribe(record.task.id)) as events:
            async for event in events:
                again.apply(event)
                if not replied and len(again.task.texts()) == CHUNK_COUNT:
                    replied = True
                    await self.sdk.send(["go"], task=record.task, immediately=True)
        holds(isinstance(again.events[0], Task), "the first event is the task as it is")
        before = CHUNK_COUNT - len(again.chunks())
        holds(before >= 5, f"{before} chunks in the first event")
        equal(again.numbers(), list(range(1, CHUNK_COUNT + 1)), "chunks")
        equal(again.task.state, "COMPLETED", "state")
        holds("heard: go" in [status.said for status in again.statuses()], "the answer to the message")
        await self.same(again.task)
        return {"before": before, "after": len(again.chunks())}

    async def silence(self):
        """A stream stays open while only keep-alives arrive, both after a send and after a subscription."""
        await self._answered_late(self.sdk.stream(["!listen 1"]))
        async with aclosing(self.sdk.stream(["!listen 1"])) as events:
            task = await anext(events)
        await self._answered_late(self.sdk.subscribe(task.id))

    async def _answered_late(self, stream):
        record, answer = Record(), None
        async with aclosing(stream) as events:
            async for event in events:
                record.apply(event)
                if answer is None and record.task.state == "WORKING":
                    answer = asyncio.create_task(self._answer_late(record.task))
        await answer
        equal(record.task.state, "COMPLETED", "state after the silence")
        holds("heard: go" in [status.said for status in record.statuses()], "the answer to the message")

    async def _answer_late(self, task):
        await asyncio.sleep(SILENCE)
        await self.sdk.send(["go"], task=task, immediately=True)

    async def separators(self):
        """Line separators survive in texts and data: in responses, events and snapshots."""
        sent = [("text", SEPARATED), ("data", {SEPARATED: [SEPARATED]})]
        task = await self.sdk.send(sent)
        equal((task.state, task.artifacts[0].parts), ("COMPLETED", sent), "what came back")
        equal(task.asked, [SEPARATED], "messages of the client")
        await self.same(task)
        record = await self.streamed(*sent)
        equal((record.task.state, record.task.artifacts[0].parts), ("COMPLETED", sent), "what was streamed")
        # Script commands end at a line break.
        question = SEPARATED.replace("\n", " ")
        asking = (await self.streamed(f"!ask {question}")).task
        equal((asking.state, asking.said), ("INPUT_REQUIRED", question), "the question in a stream")
        async with aclosing(self.sdk.subscribe(asking.id)) as events:
            equal((await anext(events)).said, question, "the question to who subscribes")

    async def files(self):
        """Files by value and by reference are returned as sent, and as the agent creates them."""
        sent = [
            ("text", "two files"),
            ("raw", BYTES, "bytes.bin", "application/octet-stream"),
            ("url", ADDRESS, "a report.pdf", "application/pdf"),
        ]
        task = await self.sdk.send(sent)
        back = [self._without_labels(part) for part in sent]
        equal((task.state, task.artifacts[0].parts), ("COMPLETED", back), "what came back")
        await self.same(task)
        made = [
            ("raw", b"\0\1\2\xff", "bytes.bin", "application/octet-stream"),
            ("url", "https://example.com/file.txt", "", "text/plain"),
        ]
        if "named files" in self.sdk.drops:
            del made[0]
        for part in made:
            record = await self.streamed(f"!artifact {part[0]}")
            equal(record.task.artifacts[0].parts, [self._without_labels(part)], "what the agent made")

    def _without_labels(self, part):
        return (*part[:2], "", "") if "file labels" in self.sdk.drops and len(part) == 4 else part

    async def data(self):
        """Nested data is returned as sent, and as the agent creates it."""
        task = await self.sdk.send([("data", DATA), "and a text"])
        equal((task.state, task.artifacts[0].parts), ("COMPLETED", [("data", DATA), ("text", "and a text")]), "what came back")
        await self.same(task)
        made = await self.sdk.send(["!artifact data"])
        equal(made.artifacts[0].parts, [("data", {"answer": 42, "list": [1, None, "x"]})], "what the agent made")

    async def errors(self):
        """Every rejection arrives as the SDK's error for it."""
        ended = await self.sdk.send(["done"])
        asking = await self.sdk.send(["!ask"])
        elsewhere = Task(asking.id, str(uuid.uuid4()), "", "")
        calls = [
            ("get of an unknown task", "TASK_NOT_FOUND", lambda: self.sdk.get(UNKNOWN_TASK_ID)),
            ("get of what is no id", "TASK_NOT_FOUND", lambda: self.sdk.get("nonsense")),
            ("cancel of an unknown task", "TASK_NOT_FOUND", lambda: self.sdk.cancel(UNKNOWN_TASK_ID)),
            ("cancel of an ended task", "TASK_NOT_CANCELABLE", lambda: self.sdk.cancel(ended.id)),
            ("message to an unknown task", "TASK_NOT_FOUND", lambda: self.sdk.send(["x"], task=Task(UNKNOWN_TASK_ID, "", "", ""))),
            ("message to an ended task", "UNSUPPORTED_OPERATION", lambda: self.sdk.send(["x"], task=ended)),
            ("stream to an ended task", "UNSUPPORTED_OPERATION", lambda: self.streamed("x", task=ended)),
            ("subscribing to an ended task", self.sdk.of_ended, lambda: self._first(ended.id)),
            ("message without parts", "INVALID_PARAMS", lambda: self.sdk.send([])),
            ("message in another context", "INVALID_PARAMS", lambda: self.sdk.send(["x"], task=elsewhere)),
        ]
        return await self._refusals(call for call in calls if call[0] not in self.sdk.impossible)

    async def push(self):
        """Push notifications are not supported; every operation on them reports it."""
        task = await self.sdk.send(["done"])
        return await self._refusals((what, "PUSH_NOTIFICATION_NOT_SUPPORTED", call) for what, call in self.sdk.push(task.id))

    async def _refusals(self, calls):
        seen = {}
        for what, error, call in calls:
            found = await self._refused(call)
            equal(found, self.sdk.error_name(error), what)
            seen[what] = found
        return {"seen": seen}

    async def _first(self, task):
        async with aclosing(self.sdk.subscribe(task)) as events:
            return (await anext(events)).state

    async def _refused(self, call):
        try:
            return await call()
        except Exception as error:
            return self.sdk.failure(error)


async def run(make):
    parser = argparse.ArgumentParser()
    parser.add_argument("urls", type=lambda text: itertools.cycle(text.split(",")))
    parser.add_argument("binding", choices=["JSONRPC", "HTTP+JSON", "GRPC"])
    parser.add_argument("scenario", nargs="+")
    parser.add_argument("--protocol", default=make.PROTOCOL)
    parser.add_argument("--key")
    arguments = parser.parse_intermixed_args()
    sdk = make(arguments.urls, arguments.binding, arguments.protocol, arguments.key)
    await sdk.connect()
    scenarios = Scenarios(sdk)
    for name in arguments.scenario:
        try:
            seen = await asyncio.wait_for(getattr(scenarios, name)(), SCENARIO_TIMEOUT) or {}
        except asyncio.TimeoutError:
            raise SystemExit(f"{name}: nothing more after {SCENARIO_TIMEOUT} s") from None
        except AssertionError as problem:
            raise SystemExit(f"{name}: {problem}") from None
        print(json.dumps({"scenario": name, **seen}), flush=True)
    await sdk.close()


def main(make):
    asyncio.run(run(make))
