"""Runs the cases of an ACTS corpus (`*.acts.yaml`) over one binding, against a server that runs already.

    run.py --corpus FOLDER --url URL --transport jsonrpc|rest|grpc --readings FILE [--report FILE] [--only TEXT]

The format is that of `docs/acts-specification.md` beside the corpus. Where the corpus and the specification of A2A disagree, the latter
counts: `--readings` says how such cases are read, and why. The exit code is 0 when none failed.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import sys
import time
import traceback
import uuid

import yaml

from assertions import ABSENT, Failed, check, check_named, check_until, passes, values
from bindings import BINDINGS, from_wire

RESULTS = ("pass", "fail", "skip", "error")
ENDS = {f"TASK_STATE_{state}" for state in ("COMPLETED", "FAILED", "CANCELED", "REJECTED")}
# What a runner is asked in words to look at, by case.
SEEN_IN_HEADERS = {
    "CARD-CACHE-001": lambda headers: "cache-control" in headers or "etag" in headers,
    "REST-CT-001": lambda headers: headers.get("content-type", "").startswith("application/a2a+json"),
}


class Skipped(Exception):
    pass


def documents(folder):
    """Every document of the corpus once, the files that others include at their place, with its variables."""
    listed = [path for path in sorted(folder.glob("*.acts.y*ml")) if not path.name.startswith("suite.")]
    for path in listed:
        document = yaml.safe_load(path.read_text())
        if str(document.get("acts_version", "")).split(".")[0] != "1":
            raise SystemExit(f"{path}: acts_version {document.get('acts_version')} is not known")
        yield document


class Case:
    """One test: its steps in order, with what they captured."""

    def __init__(self, test, document, binding, card, reading):
        self.test, self.binding, self.card, self.reading = test, binding, card, reading
        self.variables = document.get("variables") or {}
        self.captured, self.responses = {}, {}

    def skip_if_not_applicable(self):
        test = self.test
        transports = test.get("transport") or (test.get("preconditions") or {}).get("transport")
        if transports and self.binding.NAME not in transports:
            raise Skipped(f"for {', '.join(transports)}")
        if any("client_response" in step for step in test["steps"]):
            raise Skipped("about clients, not servers")
        if "skip" in self.reading:
            raise Skipped(self.reading["skip"])
        for name, wanted in ((test.get("preconditions") or {}).get("capabilities") or {}).items():
            found = self.card.get("capabilities", {}).get(name, False)
            if found != wanted:
                raise Skipped(f"the card says {name}: {json.dumps(found)}")
        if test.get("runner_requirements"):
            raise Skipped(f"asks the runner for {', '.join(test['runner_requirements'])}")

    def run(self):
        self.skip_if_not_applicable()
        for step in self.test["steps"]:
            time.sleep(step.get("delay_ms", 0) / 1000)
            try:
                self.step(step)
            except Failed as problem:
                raise Failed(f"step {step['id']}: {problem}", "as above", ABSENT) from None
        for assertion in self.test.get("assertions", []):
            self.named(assertion)

    def step(self, step):
        if "assertion" in step:
            return self.named(step["assertion"])
        repeat = step.get("repeat")
        for attempt in range(repeat.get("max_attempts", 10) if repeat else 1):
            answer = self.perform(step)
            if not repeat or answer.error or check_until(repeat["until"], answer.body):
                break
            time.sleep(min(repeat.get("delay_ms", 1000) / 1000, 0.2 * (attempt + 1)))
        else:
            raise Failed("", repeat["until"], answer.body)
        self.expect(step, answer)
        self.responses[step["id"]] = answer.body
        for name, path in (step.get("capture") or {}).items():
            found = values(answer.body, path)
            if not found:
                raise Failed(path, "something to capture", answer.body)
            self.captured[f"{step['id']}.{name}"] = found[0]
        for assertion in self.reading.get("assertions", {}).get(step["id"]) or step.get("assertions", []):
            self.named(assertion)

    def perform(self, step):
        if "raw" in step:
            return self.binding.raw(self.resolve(step["raw"]))
        operation, params = step["operation"], self.resolve(step.get("params") or {})
        if operation == "get_agent_card" and not params.pop("extended", False):
            return self.binding.get_card()
        answer = self.binding.call(operation.replace("get_agent", "get_extended_agent"), params)
        answer.body, answer.events = from_wire(answer.body), from_wire(answer.events)
        return answer

    def expect(self, step, answer):
        wanted = self.resolve(step.get("expect_error"))
        if wanted:
            return self.expect_error(wanted | self.reading.get("expect_error", {}), answer)
        expected = dict(self.resolve(self.reading.get("expect", {}).get(step["id"]) or step.get("expect") or {}))
        if expected.get("status") == "error":
            return self.expect_error({"message": expected.get("body", {}).get("message", {"exists": True})}, answer)
        if answer.error and "error" not in expected and "raw" not in step:
            raise Failed("", "no error", answer.error)
        if "status" in expected:
            check(expected.pop("status"), answer.status, "status")
        check(expected.pop("body", {}), answer.body, "")
        # What stands beside `status` and `body` is meant to stand within the latter.
        check(expected, {"error": answer.error} if answer.error else answer.body, "")
        seen = SEEN_IN_HEADERS.get(self.test["id"])
        if seen and not seen(answer.headers):
            raise Failed("headers", "what the description says", answer.headers)
        if "expect_stream" in step:
            self.expect_stream(self.resolve(step["expect_stream"]), answer.events)

    def expect_error(self, wanted, answer):
        if not answer.error:
            raise Failed("", f"an error {wanted}", answer.body)
        error = answer.error
        names = {"error_type": "type", "code": "type", "message": "message", "data": "data", "details": "data"}
        for name, inner in wanted.items():
            check(inner, error[names[name]], name)

    def expect_stream(self, wanted, events):
        seen = [event_view(event) for event in events]
        if not wanted.get("min_count", 0) <= len(seen) <= wanted.get("max_count", sys.maxsize):
            raise Failed("events", f"{wanted.get('min_count')} to {wanted.get('max_count')} events", len(seen))
        for assertion in wanted.get("events", []):
            inner = {name: one for name, one in assertion.items() if name not in ("description", "match", "index")}
            if assertion.get("match") == "any_position":
                if not any(passes(inner, event) for event in seen):
                    raise Failed("events", f"any to be {inner}", seen)
            else:
                check(inner, seen[assertion.get("index", 0)] if seen else ABSENT, "event")
        for event in seen:
            check(wanted.get("each_event", {}), event, "each event")
        if "final_event" in wanted:
            check(wanted["final_event"], seen[-1] if seen else ABSENT, "final event")
        if wanted.get("ordering") == "monotonic_state":
            check_order(seen)

    def named(self, assertion):
        name = assertion["source"].strip("{} ")
        step, _, path = name.partition(".")
        source = self.responses[step]
        path = path.removeprefix("response").lstrip(".")
        found = values(source, path) if path else [source]
        check_named(self.resolve({key: one for key, one in assertion.items() if key != "source"}), found[0] if found else ABSENT)

    def resolve(self, value):
        """Puts values in the places of `{{names}}`."""
        if isinstance(value, dict):
            return {key: self.resolve(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.resolve(one) for one in value]
        if not isinstance(value, str):
            return value
        whole = re.fullmatch(r"\{\{([^{}]+)\}\}", value)
        if whole:
            return self.variable(whole[1])
        return re.sub(r"\{\{([^{}]+)\}\}", lambda found: str(self.variable(found[1])), value)

    def variable(self, name):
        name = name.strip()
        if name == "$uuid":
            return str(uuid.uuid4())
        found = self.captured.get(name, self.variables.get(name))
        if found is None and name.startswith("env."):
            found = os.environ.get(name[4:])
        if found is None:
            raise Skipped(f"the runner has no value for {{{{{name}}}}}")
        return found


def event_view(event):
    """An event as the corpus speaks of it: its payload, which also stands under its kind in both ways of writing."""
    for kind in ("task", "message", "statusUpdate", "artifactUpdate"):
        if isinstance(event, dict) and isinstance(event.get(kind), dict):
            snake = re.sub("[A-Z]", lambda capital: "_" + capital[0].lower(), kind)
            return {**event[kind], kind: event[kind], snake: event[kind]}
    return event


def check_order(events):
    """States never come back to submitted, and nothing follows the end."""
    states = [event["status"]["state"] for event in events if isinstance(event.get("status"), dict)]
    for before, after in zip(states, states[1:]):
        if before in ENDS or (after == "TASK_STATE_SUBMITTED" and before != after):
            raise Failed("events", f"no state after {before}", after)
    if not states or states[-1] not in ENDS:
        raise Failed("events", "an end", states)


def run_case(case):
    try:
        case.run()
        return "pass", ""
    except Skipped as reason:
        return "skip", str(reason)
    except Failed as problem:
        return "fail", str(problem)
    except Exception:
        return "error", traceback.format_exc().strip().splitlines()[-1]


def report(args, results, began):
    def summary(level=None):
        counts = collections.Counter(result for test, result, *_ in results if level in (None, test["level"]))
        names = dict(zip(RESULTS, ("passed", "failed", "skipped", "errors")))
        return {"total": sum(counts.values()), **{name: counts[result] for result, name in names.items()}}

    suites = collections.defaultdict(list)
    for test, result, reason, took, suite in results:
        row = {"id": test["id"], "name": test["name"], "level": test["level"], "result": result, "duration_ms": took}
        if reason:
            row |= {"skip_reason": reason} if result == "skip" else {"failure": {"message": reason}}
        suites[suite["id"], suite["name"]].append(row)
    return {
        "acts_version": "1.0", "spec_version": "1.0", "transport": args.transport,
        "generated_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "sdk": {"name": "longhaul", "version": args.version, "language": "rust"},
        "summary": {
            **summary(), "duration_ms": round((time.monotonic() - began) * 1000),
            "by_level": {level: summary(level) for level in ("must", "should", "may")},
        },
        "suites": [{"id": name[0], "name": name[1], "tests": tests} for name, tests in suites.items()],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--transport", choices=BINDINGS, required=True)
    parser.add_argument("--readings", type=pathlib.Path, required=True)
    parser.add_argument("--report", type=pathlib.Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--version", default="")
    args = parser.parse_args()
    began = time.monotonic()
    base = args.url.rstrip("/")
    kind = BINDINGS[args.transport]
    card = kind(base, base, "1.0").get_card().body
    interfaces = [one["url"] for one in card["supportedInterfaces"] if one["protocolBinding"] == kind.BINDING]
    if not interfaces:
        raise SystemExit(f"the card at {base} names no interface for {kind.BINDING}")
    readings = yaml.safe_load(args.readings.read_text()) or {}
    results = []
    for document in documents(args.corpus):
        binding = kind(base, interfaces[0], str(document["spec_version"]))
        for suite in document.get("suites", []):
            for test in suite["tests"]:
                if args.only not in test["id"]:
                    continue
                reading = readings.get(test["id"]) or {}
                started = time.monotonic()
                result, reason = run_case(Case(test, document, binding, card, reading))
                results.append((test, result, reason, round((time.monotonic() - started) * 1000), suite))
    if not results:
        raise SystemExit(f"no case was found in {args.corpus}")
    for wanted in ("fail", "error", "skip"):
        for test, result, reason, *_ in results:
            if result == wanted:
                print(f"{result}: {test['id']} ({test['level']}) {test['name']}\n    {reason[:400]}")
    document = report(args, results, began)
    if args.report:
        args.report.write_text(json.dumps(document, indent=1))
    counts = document["summary"]
    print(f"\nacts {args.transport:<8}" + "".join(f"{counts[name]:>4} {name}" for name in ("passed", "failed", "errors", "skipped")))
    sys.exit(1 if counts["failed"] or counts["errors"] else 0)


if __name__ == "__main__":
    main()
