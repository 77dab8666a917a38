"""`unsafe` stands in one small crate alone. The workspace's lints forbid it elsewhere; who does not take them has none."""

import re
import tomllib
from pathlib import Path

from rules import UNSAFE_IN, UNSAFE_MAX_LINES


def check(metadata):
    members = [one for one in metadata["packages"] if one["id"] in metadata["workspace_members"]]
    root = Path(metadata["workspace_root"])
    shared = _lints(root / "Cargo.toml")["workspace"]["lints"]
    for member in members:
        manifest = Path(member["manifest_path"])
        lints = _lints(manifest).get("lints", {})
        if member["name"] != UNSAFE_IN:
            # A template to be copied has no workspace around it; its code is looked at instead.
            if lints != {"workspace": True}:
                yield from _without_unsafe(member["name"], manifest.parent)
            continue
        yield from _same_lints(member["name"], shared, lints)
        yield from _small(member["name"], manifest.parent)


def _lints(manifest):
    return tomllib.loads(manifest.read_text())


def _same_lints(name, shared, lints):
    for tool, rules in shared.items():
        for rule, level in rules.items():
            # `forbid` could not be allowed at a line.
            wanted = "deny" if rule == "unsafe_code" else level
            if lints.get(tool, {}).get(rule) != wanted:
                yield f"{name} must have the lint {tool}::{rule} as the workspace has it"


def _sources(folder):
    return [source.read_text().splitlines() for source in sorted(folder.rglob("*.rs"))]


def _is_unsafe(line):
    return re.search(r"\bunsafe\b", line.split("//")[0]) is not None


def _without_unsafe(name, folder):
    if any(_is_unsafe(line) for source in _sources(folder) for line in source):
        yield f"{name} has `unsafe`, which belongs in {UNSAFE_IN} alone; take the lints of the workspace"


def _small(name, folder):
    sources = _sources(folder)
    lines = sum(len(source) for source in sources)
    if lines > UNSAFE_MAX_LINES:
        yield f"{name} has {lines} lines; more than {UNSAFE_MAX_LINES} with `unsafe` among them are hard to judge"
    for source in sources:
        for number, line in enumerate(source):
            comments = [before.strip() for before in source[max(0, number - 12) : number]]
            if _is_unsafe(line) and not any(comment.startswith("// SAFETY: ") for comment in comments):
                yield f"{name}: an `unsafe` without its `// SAFETY:` reason: {line.strip()}"
