"""The words and the shape of the code: CONTRIBUTING.md says what they are for, rules.py what holds."""

import re
from collections import defaultdict
from pathlib import Path

from rules import (
    BANNED_NAMES, BANNED_PHRASES, LINE_COMMENTS_MIN_PERCENT, LINE_COMMENTS_MIN_LINES, RELATIVE_OPENINGS,
    SAME_NAME_MAX_TYPES,
)
from rust_files import Crate, comments, definitions, sources, without_comments, without_tests

_PUBLIC_TYPE = re.compile(r"^[ \t]*pub(?:\([^)]*\))?\s+(?:struct|enum|trait|type|union)\s+([A-Za-z_]\w*)", re.M)


def check(metadata):
    members = {one["name"]: one for one in metadata["packages"] if one["id"] in metadata["workspace_members"]}
    root = Path(metadata["workspace_root"])
    yield from words(root, [file for one in members.values() for file in sorted(Path(one["manifest_path"]).parent.rglob("*.rs"))
                            if _belongs(one, file, members)])
    folders = {name: Path(one["manifest_path"]).parent / "src" for name, one in members.items()}
    yield from same_names([file for folder in folders.values() for file in sources(folder)])
    for name, folder in folders.items():
        if "tests" not in folder.relative_to(root).parts:
            yield from few_comments(name, [file.read_text() for file in sources(folder)])
        yield from circles(name, Crate(folder))


def _belongs(member, file, members):
    inner = [Path(one["manifest_path"]).parent for one in members.values() if one is not member]
    own = Path(member["manifest_path"]).parent
    return not any(own in folder.parents and folder in file.parents for folder in inner)


def words(root, files):
    """Doc comments that begin with a relative clause, phrases of a private dialect, and names that are pictures."""
    for file in files:
        text = file.read_text()
        yield from _words(file.relative_to(root), text)


def _words(file, text):
    before = (0, "")
    for number, comment in comments(text):
        marker = next((one for one in ("///", "//!") if comment.startswith(one)), "")
        said = comment.lstrip("/!* ").strip()
        # A line that follows another one of its block goes on with its sentence.
        begins = bool(marker) and before != (number - 1, marker)
        before = (number, marker)
        opening = said.split(" ", 1)[0].rstrip(",")
        if begins and opening in RELATIVE_OPENINGS:
            yield f"{file}:{number} begins a doc comment with {opening!r}: begin with a noun or a verb"
        for phrase in BANNED_PHRASES:
            if re.search(rf"\b{phrase}\b", said, re.I):
                yield f"{file}:{number} says {phrase!r}: say it plainly"
    for kind, name in definitions(without_comments(text)):
        if name in BANNED_NAMES:
            yield f"{file} names a {kind} {name}: {BANNED_NAMES[name]}"


def same_names(files):
    """Public types that share their name with two others or more."""
    places = defaultdict(list)
    for file in files:
        for name in _PUBLIC_TYPE.findall(without_tests(without_comments(file.read_text()))):
            places[name].append(file)
    many = {name: found for name, found in places.items() if len(found) >= 3}
    if len(many) > SAME_NAME_MAX_TYPES:
        told = ", ".join(f"{name} ({len(found)})" for name, found in sorted(many.items()))
        yield f"{len(many)} names stand for three public types or more, and {SAME_NAME_MAX_TYPES} may: {told}"


def few_comments(name, texts):
    """A crate of the product that explains hardly anything at the line."""
    lines = sum(text.count("\n") for text in texts)
    explained = sum(1 for text in texts for _, comment in comments(text) if not comment.startswith(("///", "//!")))
    if lines >= LINE_COMMENTS_MIN_LINES and explained * 100 < lines * LINE_COMMENTS_MIN_PERCENT:
        yield (
            f"{name} explains {explained} of {lines} lines where they stand ({explained * 100 / lines:.1f} %); "
            f"races, orders and bounds want a comment at their line ({LINE_COMMENTS_MIN_PERCENT} % at least)"
        )


def circles(name, crate):
    """Files that use each other in a loop."""
    for files in crate.circles():
        yield f"{name} has files that use each other: {', '.join(files)}"
