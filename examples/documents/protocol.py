"""The process protocol of Longhaul, version 1, with the standard library only. Copy this file for your own plugin.

`serve(work, ...)` calls `work(run)` in a new thread for every run. The result of `work` (`completed`, `failed`, `input_required`,
`rejected`) ends the run. `Run.status` and `Run.artifact` wait while the worker accepts no more output, and raise `Canceled` once
the run must stop: do not catch it, and the run ends as canceled. `Run.step` does work once, no matter how often the task runs.

This process ends as soon as the worker is gone; another worker takes over the task.
"""

import base64
import json
import os
import sys
import threading
import traceback

PROTOCOL = 1


class Canceled(Exception):
    """The run must stop. Later output does not count."""


class RequestFailed(Exception):
    """The worker could not answer a request. The text is the reason."""


class LineTooLong(Exception):
    """A line is longer than the worker accepts."""


def message(text=None, data=None):
    """A message with a text part, a data part, or both."""
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
    """Fails the run. `text` is for the client, `cause` for the operator; `retry_after` is in seconds."""
    end = {"type": "failed", "text": text, "cause": (cause or text).replace("\0", ""), "retryable": retryable}
    if retry_after is not None:
        end["retryAfterMs"] = int(retry_after * 1000)
    return end


class Lines:
    """Writes lines to the worker. Thread safe."""

    def __init__(self, output):
        self.max_bytes = 16 * 1024 * 1024  # until `hello` sets it
        self._output = output
        self._lock = threading.Lock()

    def send(self, frame):
        line = json.dumps(frame, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"
        if len(line) > self.max_bytes:
            raise LineTooLong(f"{len(line)} bytes where {self.max_bytes} are the most")
        with self._lock:
            self._output.write(line)
            self._output.flush()


class Output:
    """Output: statuses and artifacts."""

    def status(self, text, metadata=None):
        self._output({"type": "status", "text": text, "metadata": metadata})

    def artifact(self, artifact_id, parts, append=False, last=False, **details):
        """Sends a first chunk, or with `append` a further one. `details` are name, description, metadata."""
        artifact = {"artifactId": artifact_id, "parts": parts, **details}
        self._output({"type": "artifact", "artifact": artifact, "append": append, "lastChunk": last})


class Step(Output):
    """A step in progress. Its output is stored together with its result, or not at all."""

    def __init__(self, run, name):
        self._run, self._name = run, name

    def _output(self, frame):
        self._run._output({**frame, "step": self._name})


class Run(Output):
    """One run: its task, and its output."""

    def __init__(self, start, lines):
        self.id = start["run"]
        self.task = start["task"]
        self.message = start["message"]
        self.history = start["history"]
        self.metadata = start.get("metadata") or {}
        self._lines = lines
        self._credit = start["credit"]
        self._canceled = None
        self._requests = 0
        self._replies = {}
        self._changed = threading.Condition()

    def check(self):
        """Raises `Canceled` when the run must stop."""
        if self._canceled is not None:
            raise Canceled(self._canceled)

    def step(self, name, work):
        """Returns the result of `work(step)`: the stored one of an earlier attempt or turn, or a new one, stored before this returns.

        The result must be JSON. `work` sends its output through the `Step`. A name can be used once in a run.
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
        """Restarts `no_progress_timeout`. Output restarts it as well."""
        self._lines.send({"type": "progress", "run": self.id})

    def log(self, text, level="info"):
        self._lines.send({"type": "log", "run": self.id, "level": level, "message": text})

    def request(self, method, **params):
        """Sends a request to the worker and waits for the reply."""
        with self._changed:
            self._requests += 1
            request_id = f"q{self._requests}"
        self._lines.send({"type": "request", "run": self.id, "id": request_id, "method": method, "params": params})
        with self._changed:
            self._changed.wait_for(lambda: request_id in self._replies or self._canceled is not None)
            self.check()
            reply = self._replies.pop(request_id)
        if reply.get("error") is not None:
            raise RequestFailed(reply["error"])
        return reply["result"]

    def content(self, part):
        """The bytes of a part with `raw`. A large one is read from the worker in pieces."""
        if "large" not in part:
            return base64.b64decode(part["raw"])
        piece = max(1, min(4 * 1024 * 1024, self._lines.max_bytes // 2))
        large, content = part["large"], bytearray()
        while len(content) < large["size"]:
            reply = self.request("part", id=large["id"], offset=len(content), length=piece)
            if not reply["raw"]:
                raise RequestFailed(f"part {large['id']} ends at {len(content)} of {large['size']} bytes")
            content += base64.b64decode(reply["raw"])
        return bytes(content)

    def _output(self, frame):
        with self._changed:
            self._changed.wait_for(lambda: self._credit > 0 or self._canceled is not None)
            self.check()
            self._credit -= 1
        self._lines.send({"run": self.id, **frame})

    def receive(self, frame):
        """Handles a frame of the worker for this run. Called by the reading thread."""
        with self._changed:
            if frame["type"] == "credit":
                self._credit += frame["credit"]
            elif frame["type"] == "cancel":
                self._canceled = frame["reason"]
            elif frame["type"] == "reply":
                self._replies[frame["id"]] = frame
            # Further messages of the client are ignored: the task then runs once more, with them in the history.
            self._changed.notify_all()


def serve(work, *, name, version, max_inflight=1, inline_parts=None):
    """Serves runs until the worker closes standard input. Does not return."""
    lines = Lines(_claim_stdout())
    runs = {}
    try:
        _listen(work, runs, lines, name, version, max_inflight, inline_parts)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    # Not sys.exit: running threads must not keep the process alive.
    os._exit(0)


def _listen(work, runs, lines, name, version, max_inflight, inline_parts):
    for line in sys.stdin.buffer:
        frame = json.loads(line)
        if frame["type"] == "hello":
            lines.max_bytes = frame.get("maxLineBytes", lines.max_bytes)
            offered = min(max_inflight, frame.get("maxInflight", 1))
            lines.send({
                "type": "ready", "protocol": PROTOCOL, "name": name, "version": version,
                "maxInflight": offered, "inlineParts": inline_parts,
            })
        elif frame["type"] == "run":
            run = runs[frame["run"]] = Run(frame, lines)
            threading.Thread(target=_work, args=(work, run, runs, lines), daemon=True).start()
        elif run := runs.get(frame.get("run")):
            run.receive(frame)


def _claim_stdout():
    """Reserves standard output for the protocol. `print` then writes to standard error, and so to the worker's log."""
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
    except BaseException as error:  # SystemExit too: in a thread it ends nothing, and the run would hang
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
