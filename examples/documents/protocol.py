"""The process protocol of Longhaul, version 1, in the standard library alone. Copy this file for a plugin of your own.

`serve(work, ...)` calls `work(run)` in a thread of its own for every run. What `work` returns (`completed`, `failed`,
`input_required`, `rejected`) ends the run. `Run.status` and `Run.artifact` wait while the worker takes no more output, and
raise `Canceled` once the run shall stop: let it pass, and the run ends as canceled. `Run.step` does work once, however often
the task is run.

When the worker goes away, at whatever moment, this process ends: another worker takes the task over.
"""

import base64
import json
import os
import sys
import threading
import traceback

PROTOCOL = 1


class Canceled(Exception):
    """The run shall stop; nothing that it still sends counts."""


class RequestFailed(Exception):
    """The worker could not answer a request; the text says why."""


class LineTooLong(Exception):
    """What was to be sent does not fit the longest line that the worker takes."""


def message(text=None, data=None):
    """A message of a text part and a data part, of which either may be left out."""
    parts = [] if text is None else [{"text": text}]
    if data is not None:
        parts.append({"data": data, "mediaType": "application/json"})
    return {"parts": parts}


def completed(text, data=None):
    return {"type": "completed", "message": message(text, data)}


def rejected(text):
    return {"type": "rejected", "text": text}


def input_required(text, data=None):
    """Parks the task with a question. The answer starts a new run, perhaps in another process on another machine."""
    return {"type": "input-required", "message": message(text, data)}


def failed(text, cause=None, retryable=False, retry_after=None):
    """`text` is for the client, `cause` for the operator; `retry_after` in seconds."""
    end = {"type": "failed", "text": text, "cause": (cause or text).replace("\0", ""), "retryable": retryable}
    if retry_after is not None:
        end["retryAfterMs"] = int(retry_after * 1000)
    return end


class Lines:
    """Writes lines to the worker, from any thread."""

    def __init__(self, output):
        self.longest = 16 * 1024 * 1024  # until the worker says otherwise
        self._output = output
        self._lock = threading.Lock()

    def send(self, said):
        line = json.dumps(said, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"
        if len(line) > self.longest:
            raise LineTooLong(f"{len(line)} bytes where {self.longest} are the most")
        with self._lock:
            self._output.write(line)
            self._output.flush()


class Output:
    """The way to say how it goes."""

    def status(self, text, metadata=None):
        self._output({"type": "status", "text": text, "metadata": metadata})

    def artifact(self, artifact_id, parts, append=False, last=False, **facts):
        """Sends a first chunk, or with `append` a further one. `facts` are name, description, metadata."""
        artifact = {"artifactId": artifact_id, "parts": parts, **facts}
        self._output({"type": "artifact", "artifact": artifact, "append": append, "lastChunk": last})


class Step(Output):
    """A step under way: what it says is kept together with its result, or not at all."""

    def __init__(self, run, name):
        self._run, self._name = run, name

    def _output(self, said):
        self._run._output({**said, "step": self._name})


class Run(Output):
    """One run: what there is to do, and the way to say how it goes."""

    def __init__(self, start, lines):
        self.id = start["run"]
        self.task = start["task"]
        self.message = start["message"]
        self.history = start["history"]
        self.metadata = start.get("metadata") or {}
        self._lines = lines
        self._credit = start["credit"]
        self._canceled = None
        self._asked = 0
        self._replies = {}
        self._news = threading.Condition()

    def check(self):
        """Raises `Canceled` when the run shall stop."""
        if self._canceled is not None:
            raise Canceled(self._canceled)

    def step(self, name, work):
        """The result of `work(step)`: of an earlier attempt or turn if there is one, else done now and kept before this returns.

        It must be JSON. `work` says what it has to say with the `Step` that it is given. A name is used once in a run.
        """
        begun = self.request("beginStep", name=name)
        if begun["done"]:
            return begun["value"]
        try:
            value = work(Step(self, name))
        except Canceled:
            raise
        except Exception:
            self.request("dropStep", name=name)
            raise
        self.request("endStep", name=name, value=value)
        return value

    def progress(self):
        """Says that work is getting on, for `no_progress_timeout`; output says it as well."""
        self._lines.send({"type": "progress", "run": self.id})

    def log(self, text, level="info"):
        self._lines.send({"type": "log", "run": self.id, "level": level, "message": text})

    def request(self, method, **params):
        """Asks the worker and waits for the answer."""
        with self._news:
            self._asked += 1
            asked = f"q{self._asked}"
        self._lines.send({"type": "request", "run": self.id, "id": asked, "method": method, "params": params})
        with self._news:
            self._news.wait_for(lambda: asked in self._replies or self._canceled is not None)
            self.check()
            reply = self._replies.pop(asked)
        if reply.get("error") is not None:
            raise RequestFailed(reply["error"])
        return reply["result"]

    def content(self, part):
        """The bytes of a part with `raw`, also of a large one, which is read from the worker piece by piece."""
        if "large" not in part:
            return base64.b64decode(part["raw"])
        piece = max(1, min(4 * 1024 * 1024, self._lines.longest // 2))
        wanted, content = part["large"], bytearray()
        while len(content) < wanted["size"]:
            reply = self.request("part", id=wanted["id"], offset=len(content), length=piece)
            if not reply["raw"]:
                raise RequestFailed(f"part {wanted['id']} ends at {len(content)} of {wanted['size']} bytes")
            content += base64.b64decode(reply["raw"])
        return bytes(content)

    def _output(self, said):
        with self._news:
            self._news.wait_for(lambda: self._credit > 0 or self._canceled is not None)
            self.check()
            self._credit -= 1
        self._lines.send({"run": self.id, **said})

    def hear(self, said):
        """Takes in what the worker says about this run; called by the thread that reads."""
        with self._news:
            if said["type"] == "credit":
                self._credit += said["credit"]
            elif said["type"] == "cancel":
                self._canceled = said["reason"]
            elif said["type"] == "reply":
                self._replies[said["id"]] = said
            # A further `message` of the client is not taken up: the task then runs once more, with it in the history.
            self._news.notify_all()


def serve(work, *, name, version, max_inflight=1, inline_parts=None):
    """Serves runs until the worker closes our input; does not return."""
    lines = Lines(_claim_stdout())
    runs = {}
    try:
        _listen(work, runs, lines, name, version, max_inflight, inline_parts)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    # Not sys.exit: runs that are at work must not keep the process alive.
    os._exit(0)


def _listen(work, runs, lines, name, version, max_inflight, inline_parts):
    for line in sys.stdin.buffer:
        said = json.loads(line)
        if said["type"] == "hello":
            lines.longest = said.get("maxLineBytes", lines.longest)
            offered = min(max_inflight, said.get("maxInflight", 1))
            lines.send({
                "type": "ready", "protocol": PROTOCOL, "name": name, "version": version,
                "maxInflight": offered, "inlineParts": inline_parts,
            })
        elif said["type"] == "run":
            run = runs[said["run"]] = Run(said, lines)
            threading.Thread(target=_work, args=(work, run, runs, lines), daemon=True).start()
        elif run := runs.get(said.get("run")):
            run.hear(said)


def _claim_stdout():
    """Keeps standard output for the protocol: what anybody prints goes to standard error, and so to the worker's log."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def _work(work, run, runs, lines):
    try:
        end = work(run)
    except Canceled:
        end = {"type": "canceled"}
    except LineTooLong as error:
        end = failed("A result is too large for one piece of an artifact.", f"line too long: {error}")
    except BaseException as error:  # SystemExit too: in a thread it would end nothing, and the run would hang
        traceback.print_exc()
        end = failed("The agent failed over this task. Its operator finds the cause in the log.", repr(error))
    del runs[run.id]
    try:
        try:
            lines.send({"run": run.id, **end})
        except (LineTooLong, TypeError, ValueError) as error:
            traceback.print_exc()
            lines.send({"run": run.id, **failed("The result cannot be sent. The operator finds the cause in the log.", repr(error))})
    except OSError:
        os._exit(1)  # the worker is gone
