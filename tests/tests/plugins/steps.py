"""A plugin that works in steps and waits at gates, so that a test controls the point at which its worker is killed.

The message is a list of steps, "fetch book". Each step adds a line to the file `process-effects`, sends output within the step,
then one status outside of it, "at the end of NAME", and ends once the file `gate-NAME` is there. Files are in the folder that
SCRIPT_EFFECTS_FOLDER names.
"""

import json
import os
import pathlib
import queue
import sys
import threading
import time

FOLDER = pathlib.Path(os.environ["SCRIPT_EFFECTS_FOLDER"])
inbox = queue.Queue()


def listen():
    for line in sys.stdin.buffer:
        inbox.put(json.loads(line))
    os._exit(0)  # the worker is gone


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def ask(run, method, params):
    send({"type": "request", "run": run, "id": method + params["name"], "method": method, "params": params})
    while True:
        said = inbox.get()
        if said["type"] == "cancel":
            raise InterruptedError(said["reason"])
        if said["type"] == "reply":
            if "error" in said:
                raise RuntimeError(said["error"])
            return said["result"]


def step(run, start, name, begun):
    found = ask(run, "beginStep", {"name": name})
    if found["done"]:
        return found["value"]
    with open(FOLDER / "process-effects", "a") as effects:
        effects.write(f"{start['task']['taskId']} {start['task']['turn']} {start['task']['attempt']} {name}\n")
    send({"type": "status", "run": run, "step": name, "text": f"within {name}"})
    artifact = {"artifactId": "book", "parts": [{"text": name}]}
    send({"type": "artifact", "run": run, "step": name, "append": begun, "artifact": artifact})
    send({"type": "status", "run": run, "text": f"at the end of {name}"})
    while not (FOLDER / f"gate-{name}").exists():
        time.sleep(0.01)
    ask(run, "endStep", {"name": name, "value": {"of": name}})
    return {"of": name}


def work(run, start):
    names = start["message"]["parts"][0]["text"].split()
    values = [step(run, start, name, number > 0) for number, name in enumerate(names)]
    send({"type": "completed", "run": run, "text": " ".join(value["of"] for value in values)})


def main():
    threading.Thread(target=listen, daemon=True).start()
    while True:
        said = inbox.get()
        if said["type"] == "hello":
            assert "steps" in said["features"]
            send({"type": "ready", "protocol": 1, "name": "steps", "version": "1.0.0"})
        elif said["type"] == "run":
            try:
                work(said["run"], said)
            except InterruptedError:
                send({"type": "canceled", "run": said["run"]})


main()
