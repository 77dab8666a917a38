"""Every package comes from crates.io or this workspace, under a licence of the list."""

import re

from rules import LICENCE_EXCEPTIONS, LICENCES, REGISTRY


def check(metadata):
    for package in metadata["packages"]:
        name = f"{package['name']} {package['version']}"
        if package["source"] not in (None, REGISTRY):
            yield f"{name} comes from {package['source']}: only crates.io and this workspace are allowed"
        licence = package["license"]
        excepted, _ = LICENCE_EXCEPTIONS.get(package["name"], (None, None))
        if licence is None and excepted is None:
            yield f"{name} declares no licence: read its licence file and add an exception to ops/checks/rules.py"
        elif licence != excepted and not is_allowed(licence or ""):
            yield f"{name} is under {licence!r}, which the list in ops/checks/rules.py does not allow"


def is_allowed(expression):
    """Whether an SPDX expression can be met with allowed licences alone. `/` is how old crates write OR."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    parser = _Expression(words)
    try:
        allowed = parser.alternatives()
    except IndexError:
        return False
    return allowed and not parser.words


class _Expression:
    """OR binds weakest, then AND, then WITH, which belongs to the licence before it."""

    def __init__(self, words):
        self.words = words

    def alternatives(self):
        met = self.conjunction()
        while self._next_is("OR"):
            other = self.conjunction()
            met = met or other
        return met

    def conjunction(self):
        met = self.licence()
        while self._next_is("AND"):
            other = self.licence()
            met = met and other
        return met

    def licence(self):
        word = self.words.pop(0)
        if word == "(":
            met = self.alternatives()
            return self._next_is(")") and met
        if self._next_is("WITH"):
            word = f"{word} WITH {self.words.pop(0)}"
        return word in LICENCES

    def _next_is(self, word):
        if self.words[:1] == [word]:
            self.words.pop(0)
            return True
        return False
