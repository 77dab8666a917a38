"""What the JUnit files of a conformance run say: a table, and every test that did not pass with its reason.

The exit code is 0 when every test that failed is listed among the known ones.
"""

import argparse
import collections
import pathlib
import re
import sys
import xml.etree.ElementTree as ET

TRANSPORTS = ("jsonrpc", "http_json", "grpc")
KINDS = ("passed", "failed", "skipped", "xfailed")
# Of two outcomes of one test the first in this list counts.
WEIGHT = ("failed", "xfailed", "passed", "skipped")


def transport_of(path, case):
    """Which transport a test is about; `any` when it is about none."""
    in_name = path.stem.split(".")
    if len(in_name) == 2:
        return in_name[1]
    text = f"{case.get('classname', '')}.{case.get('name', '')}"
    name = case.get("name", "")
    for transport in TRANSPORTS:
        if re.search(rf"[\[-]{transport}\]|_{transport}$", name):
            return transport
    if name.endswith("_rest") or "Rest" in text:
        return "http_json"
    for transport, words in {
        "jsonrpc": (".jsonrpc.", "JsonRpc", "Sse"),
        "http_json": (".http_json.", "HttpJson"),
        "grpc": (".grpc.", "Grpc"),
    }.items():
        if any(word in text for word in words):
            return transport
    return "any"


def outcome(case):
    """What became of a test, and why."""
    for tag in ("failure", "error"):
        found = case.find(tag)
        if found is not None:
            lines = (found.get("message") or found.text or "").strip().splitlines()
            return "failed", lines[0] if lines else ""
    found = case.find("skipped")
    if found is not None:
        kind = "xfailed" if found.get("type") == "pytest.xfail" else "skipped"
        return kind, (found.get("message") or "").strip()
    return "passed", ""


def read(folder, asked):
    """Every test as (part, transport, name, outcome, reason); none of transports that were not asked for.

    A part may have been run in several set-ups (`part+setup`): then the outcome that says most counts.
    """
    tests = {}
    for path in sorted(folder.glob("*.xml")):
        part = path.stem.split(".")[0].split("+")[0]
        for case in ET.parse(path).iter("testcase"):
            kind, reason = outcome(case)
            transport = transport_of(path, case)
            if transport not in asked and transport != "any":
                continue
            name = f"{case.get('classname', '').removeprefix('tests.')}::{case.get('name')}"
            key = (part, transport, name)
            if key not in tests or WEIGHT.index(kind) < WEIGHT.index(tests[key][0]):
                tests[key] = (kind, reason)
    return [(*key, *found) for key, found in tests.items()]


def known_tests(path):
    """Tests that are known not to pass; a line of the file is a pattern, a comment or empty."""
    if not path.exists():
        return []
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [re.compile(line) for line in lines if line]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--line", required=True)
    parser.add_argument("--transports", required=True)
    parser.add_argument("--known", type=pathlib.Path, required=True)
    parser.add_argument("folder", type=pathlib.Path)
    args = parser.parse_args()
    tests = read(args.folder, args.transports.split(","))
    known = known_tests(args.known)

    unknown = 0
    for wanted in ("failed", "skipped", "xfailed"):
        for part, transport, name, kind, reason in tests:
            if kind != wanted:
                continue
            listed = any(pattern.search(f"{transport} {name}") for pattern in known)
            unknown += kind == "failed" and not listed
            mark = " (known)" if kind == "failed" and listed else ""
            print(f"{kind}{mark}: {part} {transport} {name}\n    {reason[:300]}")

    table = collections.Counter((part, transport, kind) for part, transport, _, kind, _ in tests)
    print(f"\n{'kit ' + args.line:<28}" + "".join(f"{kind:>9}" for kind in KINDS))
    for row in sorted({(part, transport) for part, transport, _ in table}):
        print(f"{' '.join(row):<28}" + "".join(f"{table[(*row, kind)]:>9}" for kind in KINDS))
    sums = [sum(test[3] == kind for test in tests) for kind in KINDS]
    print(f"{'all':<28}" + "".join(f"{number:>9}" for number in sums))
    sys.exit(1 if unknown else 0)


main()
