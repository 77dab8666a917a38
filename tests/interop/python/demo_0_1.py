"""A client like those of the first public version of A2A (0.1): plain HTTP, client-made task ids, the card at `agent.json`."""

import base64
import json
import uuid

import httpx

import scenarios

CODES = {
    "TASK_NOT_FOUND": -32001, "TASK_NOT_CANCELABLE": -32002, "UNSUPPORTED_OPERATION": -32004, "INVALID_PARAMS": -32602,
    "PUSH_NOTIFICATION_NOT_SUPPORTED": -32003,
}


class Refused(Exception):
    pass


def part_to_wire(part):
    kind, content, *rest = ("text", part) if isinstance(part, str) else part
    if kind in ("text", "data"):
        return {"type": kind, kind: content}
    name, media_type = rest
    content = {"bytes": base64.b64encode(content).decode()} if kind == "raw" else {"uri": content}
    return {"type": "file", "file": {"name": name, "mimeType": media_type, **content}}


def part_from_wire(part):
    if part["type"] != "file":
        return part["type"], part[part["type"]]
    file = part["file"]
    kind, content = ("raw", base64.b64decode(file["bytes"])) if "bytes" in file else ("url", file["uri"])
    return kind, content, file.get("name", ""), file.get("mimeType", "")


def said(message):
    return "".join(part["text"] for part in (message or {}).get("parts", []) if part["type"] == "text")


def artifact_from_wire(artifact):
    parts = [part_from_wire(part) for part in artifact["parts"]]
    return scenarios.Artifact(str(artifact.get("index", 0)), artifact.get("name", ""), parts)


def status_from_wire(status):
    return scenarios.Status(status["state"].upper().replace("-", "_"), said(status.get("message")))


def task_from_wire(task):
    status = status_from_wire(task["status"])
    asked = [said(message) for message in task.get("history", []) if message["role"] == "user"]
    artifacts = [artifact_from_wire(artifact) for artifact in task.get("artifacts") or []]
    return scenarios.Task(task["id"], task["sessionId"], status.state, status.said, artifacts, asked)


class Sdk:
    PROTOCOL = "0.1"
    # A send to an unknown task id creates the task.
    impossible = ["message to an unknown task"]
    of_ended = "UNSUPPORTED_OPERATION"
    drops = ()

    def __init__(self, urls, _binding, _protocol, key):
        self.urls, self.headers = urls, {"Authorization": f"Bearer {key}"} if key else {}

    async def connect(self):
        self.http = httpx.AsyncClient(headers=self.headers, timeout=scenarios.SCENARIO_TIMEOUT, trust_env=False)
        answer = await self.http.get(next(self.urls) + "/.well-known/agent.json")
        self.found = answer.raise_for_status().json()

    async def close(self):
        await self.http.aclose()

    async def cut(self):
        """Closes every connection; later calls open a new one."""
        await self.close()
        await self.connect()

    async def card(self):
        card = self.found
        return {
            "name": card["name"], "skills": [skill["id"] for skill in card["skills"]],
            "streaming": card["capabilities"]["streaming"], "version": card["version"], "url": card["url"],
        }

    def _call(self, method, params):
        return {"jsonrpc": "2.0", "id": uuid.uuid4().hex, "method": method, "params": params}

    def _message(self, parts, task, context=None):
        session = (task.context if task else context) or uuid.uuid4().hex
        message = {"role": "user", "parts": [part_to_wire(part) for part in parts]}
        return {"id": task.id if task else uuid.uuid4().hex, "sessionId": session, "message": message, "historyLength": 100}

    async def _ask(self, method, params):
        request = self._call(method, params)
        answer = (await self.http.post(self.found["url"], json=request)).raise_for_status().json()
        return self._result(answer, request)

    def _result(self, answer, request):
        scenarios.equal(answer["id"], request["id"], "id of the answer")
        if answer.get("error"):
            raise Refused(answer["error"]["code"])
        return answer["result"]

    async def _stream(self, method, params):
        request = self._call(method, params)
        async with self.http.stream("POST", self.found["url"], json=request) as answer:
            async for line in answer.aiter_lines():
                if line.startswith(("data:", "{")):
                    yield self._result(json.loads(line.removeprefix("data:")), request)

    async def _events(self, method, params):
        """Earlier events are replayed as whole artifacts and a status, which make up the task."""
        task, before = None, []
        async for event in self._stream(method, params):
            scenarios.equal(event["id"], params["id"], "id of the task")
            if "artifact" in event and task is None:
                before.append(artifact_from_wire(event["artifact"]))
            elif "artifact" in event:
                flags = [bool(event["artifact"].get(flag)) for flag in ("append", "lastChunk")]
                yield scenarios.Chunk(artifact_from_wire(event["artifact"]), *flags)
            elif task is None:
                status = status_from_wire(event["status"])
                task = scenarios.Task(params["id"], params.get("sessionId", ""), status.state, status.said, before)
                yield task
            else:
                yield status_from_wire(event["status"])

    async def send(self, parts, task=None, context=None, immediately=False):
        return task_from_wire(await self._ask("tasks/send", self._message(parts, task, context)))

    def stream(self, parts, task=None):
        return self._events("tasks/sendSubscribe", self._message(parts, task))

    send_with_defaults = stream

    async def subscribe(self, task):
        known = await self.get(task)
        async for event in self._events("tasks/resubscribe", {"id": task, "sessionId": known.context}):
            yield event

    async def get(self, task, history=100):
        return task_from_wire(await self._ask("tasks/get", {"id": task, "historyLength": history}))

    async def cancel(self, task):
        return task_from_wire(await self._ask("tasks/cancel", {"id": task}))

    def push(self, task):
        config = {"id": task, "pushNotificationConfig": {"url": scenarios.WEBHOOK}}
        yield "set", lambda: self._ask("tasks/pushNotification/set", config)
        yield "get", lambda: self._ask("tasks/pushNotification/get", {"id": task})

    def failure(self, error):
        return error.args[0] if isinstance(error, Refused) else f"{type(error).__name__}: {error}"

    def error_name(self, error):
        return CODES[error]


if __name__ == "__main__":
    scenarios.main(Sdk)
