"""A migration that is committed is never edited, renamed or removed: databases have run it. A change is a new file."""

import os

from workspace import git


def check(root, base=None):
    """Compares the working tree with `base`: a commit, by default LONGHAUL_CHECK_BASE, else HEAD."""
    base = base or os.environ.get("LONGHAUL_CHECK_BASE") or "HEAD"
    if git(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}") is None:
        if base != "HEAD":
            yield f"LONGHAUL_CHECK_BASE names no commit: {base}"
        return
    for line in (git(root, "ls-tree", "-r", base, "migrations/") or "").splitlines():
        facts, name = line.split("\t", 1)
        committed = facts.split()[2]
        if not name.endswith(".sql"):
            continue
        if not (root / name).is_file():
            yield f"{name} was committed and is gone: databases have run it; restore it"
        elif git(root, "hash-object", "--", name) != committed:
            yield f"{name} differs from what was committed: databases have run it; restore it and add a new migration"
