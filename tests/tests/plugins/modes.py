"""A plugin that reports its client's accepted output modes: with a question in the first turn, at the end in the second."""

import json
import sys


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


for line in sys.stdin.buffer:
    said = json.loads(line)
    if said["type"] == "hello":
        send({"type": "ready", "protocol": 1, "name": "modes", "version": "1.0.0"})
    elif said["type"] == "run":
        text = " ".join(said.get("acceptedOutputModes", ["anything"]))
        end = "input-required" if said["task"]["turn"] == 1 else "completed"
        send({"type": end, "run": said["run"], "text": text})
