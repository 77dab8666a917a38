"""The assertions of the ACTS format (its section 5), on plain JSON values.

`check` raises `Failed` with the path of the first value that is not as expected.
"""

import re

ABSENT = object()
KINDS = {"string": str, "number": (int, float), "boolean": bool, "array": list, "object": dict, "null": type(None)}
OPERATORS = {
    "type", "exists", "absent", "contains", "matches", "starts_with", "ends_with", "gte", "lte", "gt", "lt", "count", "count_gte",
    "count_lte", "one_of", "all_of", "any_of", "not", "items",
}


class Failed(Exception):
    def __init__(self, path, expected, found):
        shown = "nothing" if found is ABSENT else repr(found)
        super().__init__(f"{path or 'response'}: expected {expected}, found {shown[:300]}")


def is_operators(expected):
    """Tells operators from the names of members; `type` is also a member of some messages, and then holds another assertion."""
    return bool(expected) and set(expected) <= OPERATORS and not isinstance(expected.get("type"), dict)


def passes(expected, found):
    try:
        check(expected, found)
    except Failed:
        return False
    return True


def check(expected, found, path=""):
    if isinstance(expected, dict) and is_operators(expected):
        for operator, operand in expected.items():
            if not holds(operator, operand, found):
                raise Failed(path, f"{operator} {operand!r}", found)
    elif isinstance(expected, dict):
        # What may be either of several things stands beside other members too.
        for name, inner in expected.items():
            if name in ("any_of", "one_of", "all_of"):
                check({name: inner}, found, path)
            else:
                member = found.get(name, ABSENT) if isinstance(found, dict) else ABSENT
                check(inner, member, f"{path}.{name}".lstrip("."))
    elif isinstance(expected, list):
        if not isinstance(found, list) or len(found) < len(expected):
            raise Failed(path, f"{len(expected)} or more elements", found)
        for at, inner in enumerate(expected):
            check(inner, found[at], f"{path}[{at}]")
    elif type(expected) is bool or type(found) is bool:
        if expected is not found:
            raise Failed(path, repr(expected), found)
    elif expected != found:
        raise Failed(path, repr(expected), found)


def holds(operator, operand, found):
    if operator in ("absent", "exists"):
        return ((found is ABSENT) == (operator == "absent")) == operand
    if operator == "not":
        return not passes(operand, found)
    if operator in ("one_of", "any_of"):
        return any(passes(one, found) for one in operand)
    if operator == "all_of":
        return all(passes(one, found) for one in operand)
    if found is ABSENT:
        return False
    return compares(operator, operand, found)


def compares(operator, operand, found):
    match operator:
        case "type":
            return isinstance(found, KINDS[operand]) and not (operand == "number" and isinstance(found, bool))
        case "contains":
            return isinstance(found, str) and operand in found
        case "matches":
            return isinstance(found, str) and re.search(operand, found, re.DOTALL) is not None
        case "starts_with":
            return isinstance(found, str) and found.startswith(operand)
        case "ends_with":
            return isinstance(found, str) and found.endswith(operand)
        case "items" if isinstance(operand, dict):
            return isinstance(found, list) and all(passes(operand, element) for element in found)
        case "items":
            return isinstance(found, list) and all(any(passes(one, element) for element in found) for one in operand)
        case "count" | "count_gte" | "count_lte":
            return isinstance(found, list) and ordered(operator.removeprefix("count").lstrip("_") or "equal", len(found), operand)
        case _:
            return isinstance(found, (int, float)) and ordered(operator, found, operand)


def ordered(operator, found, bound):
    return {
        "equal": found == bound, "gte": found >= bound, "lte": found <= bound, "gt": found > bound, "lt": found < bound,
    }[operator]


def values(root, path):
    """Every value at a path such as `task.artifacts[*].parts[0]`."""
    found = [root]
    for name in re.findall(r"[^.\[\]]+|\[\*\]|\[\d+\]", path):
        if name == "[*]":
            found = [element for one in found if isinstance(one, list) for element in one]
        elif name.startswith("["):
            at = int(name[1:-1])
            found = [one[at] for one in found if isinstance(one, list) and len(one) > at]
        else:
            found = [one[name] for one in found if isinstance(one, dict) and name in one]
    return found


def check_named(assertion, source):
    """Checks one of the `assertions` of a step or a test against the response that it names."""
    if "match" in assertion:
        found = values(source, assertion["path"])[:1] if "path" in assertion else [source]
        check(assertion["match"], found[0] if found else ABSENT, assertion.get("path", ""))
    for quantity in ("any", "all", "none"):
        if quantity not in assertion:
            continue
        wanted = assertion[quantity]
        found = values(source, wanted["path"])
        matching = sum(passes(wanted["match"], one) for one in found)
        good = {"any": matching > 0, "all": matching == len(found), "none": matching == 0}[quantity]
        if not good:
            raise Failed(wanted["path"], f"{quantity} to be {wanted['match']!r}", found)


def check_until(condition, root):
    """Evaluates what a repeated step waits for: `path == value`, `path != value` or `path in [value, ...]`."""
    path, operator, operand = re.fullmatch(r"(\S+) (==|!=|in) (.+)", condition).groups()
    found = values(root, path)
    if operator == "in":
        return bool(found) and str(found[0]) in [one.strip() for one in operand.strip("[]").split(",")]
    return (bool(found) and str(found[0]) == operand) == (operator == "==")
