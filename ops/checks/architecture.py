"""Dependencies point inwards, and what is behind a seam is used by one crate alone."""

from rules import IO_CRATES, MAY_USE, ONLY_IN, TESTS_MAY_ALSO_USE


def check(metadata):
    members = {package["name"]: package for package in metadata["packages"] if package["id"] in metadata["workspace_members"]}
    for name, package in members.items():
        if name not in MAY_USE:
            yield f"{name} has no layer: say in MAY_USE of ops/checks/rules.py what it may use"
            continue
        for dependency in package["dependencies"]:
            yield from _direction(name, dependency, members)
            yield from _behind_a_seam(name, dependency)
    if "longhaul-domain" in members:
        yield from _pure(metadata, members["longhaul-domain"]["id"])


def _direction(name, dependency, members):
    used = dependency["name"]
    is_test = dependency["kind"] == "dev"
    allowed = MAY_USE[name] | (TESTS_MAY_ALSO_USE.get(name, set()) if is_test else set())
    if used in members and used != name and used not in allowed:
        where = "in its tests " if is_test else ""
        yield f"{name} must not use {used} {where}(it may use: {', '.join(sorted(allowed)) or 'no crate of the workspace'})"


def _behind_a_seam(name, dependency):
    homes = ONLY_IN.get(dependency["name"])
    if homes is not None and name not in homes:
        yield f"{name} must not use {dependency['name']}: it belongs behind {', '.join(sorted(homes))}"


def _pure(metadata, domain):
    names = {package["id"]: package["name"] for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    paths = {domain: ["longhaul-domain"]}
    queue = [domain]
    while queue:
        package = queue.pop(0)
        for dependency in nodes[package]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            if None not in kinds or dependency["pkg"] in paths:
                continue
            path = paths[dependency["pkg"]] = [*paths[package], names[dependency["pkg"]]]
            queue.append(dependency["pkg"])
            if path[-1] in IO_CRATES:
                yield f"longhaul-domain does no I/O, and yet reaches {path[-1]}: {' -> '.join(path)}"
