"""The plugin as a process, with a test in the role of the worker."""

import base64
import json
import os
import subprocess
import sys

MAIN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "main.py")


def said(*parts, message_id="m1"):
    return {"messageId": message_id, "role": "ROLE_USER", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def raw(content, name="a.pdf"):
    return {"raw": base64.b64encode(content).decode(), "filename": name, "mediaType": "application/pdf"}


class Plugin:
    """Starts `main.py` and shakes hands. `kept` holds the completed steps of the task."""

    def __init__(self):
        self.kept = {}
        self.process = subprocess.Popen([sys.executable, MAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.tell(type="hello", protocol=1, agent="documents", mode="keep", maxInflight=3, maxLineBytes=1 << 24)
        self.ready = self.hear()

    def tell(self, **line):
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def start(self, message, run="r1", history=None, turn=1, credit=1000):
        self.tell(type="run", run=run, task={"taskId": "t1", "attempt": 1, "turn": turn}, message=message, history=history or [message],
                  resume={"artifacts": [], "checkpoints": bool(self.kept)}, credit=credit)

    def next(self):
        """The next line, except requests to begin or end a step: those are answered as by a worker."""
        while (line := self.hear()).get("method") in ("beginStep", "endStep"):
            name = line["params"]["name"]
            if line["method"] == "endStep":
                self.kept[name], result = line["params"]["value"], {}
            else:
                result = {"done": True, "value": self.kept[name]} if name in self.kept else {"done": False}
            self.tell(type="reply", run=line["run"], id=line["id"], result=result)
        return line

    def until_end(self, answer=None):
        """All lines up to the end of the run. `answer(request)` returns the members of a reply."""
        lines = []
        while True:
            line = self.next()
            lines.append(line)
            if line["type"] == "request":
                self.tell(type="reply", run=line["run"], id=line["id"], **answer(line))
            elif line["type"] not in ("status", "artifact", "log"):
                return lines

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        return code
