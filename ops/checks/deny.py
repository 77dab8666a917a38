"""`deny.toml` says to cargo-deny what rules.py says to these checks, and neither names a crate that is not in the tree."""

import tomllib

from rules import LICENCES, ONLY_IN


def check(root, metadata):
    told = tomllib.loads((root / "deny.toml").read_text())
    there = {package["name"] for package in metadata["packages"]}
    yield from compare(told, there, ONLY_IN, LICENCES)


def compare(told, there, only_in, licences):
    allowed = set(told["licenses"]["allow"])
    for licence in sorted(allowed ^ licences):
        yield f"the licence {licence} stands in one of deny.toml and rules.py alone"
    bans = {one["crate"]: set(one["wrappers"]) for one in told["bans"]["deny"]}
    for crate in sorted(only_in.keys() | bans.keys()):
        if crate not in there:
            yield f"{crate} is banned and is not in the tree: a rule that nothing can break says nothing"
        elif bans.get(crate) != only_in.get(crate):
            yield f"{crate} may be used by other crates in deny.toml than in ONLY_IN of rules.py"
