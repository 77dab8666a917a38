"""Reads Rust files as far as the checks need: comments, definitions, and which file uses what of which other one."""

import re
from pathlib import Path

_TOKEN = re.compile(
    r"""(?P<line>//[^\n]*)|(?P<block>/\*.*?\*/)|(?P<raw>b?r(?P<hash>\#*)".*?"(?P=hash))|(?P<text>b?"(?:\\.|[^"\\])*")"""
    r"""|(?P<char>b?'(?:\\[^\n]{1,10}?|[^'\\\n])')""",
    re.S | re.X,
)
_DEFINITION = re.compile(
    r"^[ \t]*(?:pub(?:\([^)]*\))?\s+)?(?:(?:async|const|unsafe|extern)\s+)*"
    r"(struct|enum|trait|type|fn|const|static|mod|macro_rules!)\s+([A-Za-z_]\w*)",
    re.M,
)
_USE = re.compile(r"^[ \t]*(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", re.M)
_INLINE = re.compile(r"(?<![\w:])((?:crate|super|self)(?:::\w+)+)")
_TESTS = re.compile(r"#\[cfg\((?:all\()?test[^\n]*\]\s*(?:#\[[^\n]*\]\s*)*mod\s+\w+\s*\{")


def sources(folder):
    """The Rust files of a folder, without those that are tests alone."""
    for file in sorted(Path(folder).rglob("*.rs")):
        if "tests" not in file.relative_to(folder).parts and file.name not in {"tests.rs", "testing.rs", "bench.rs"}:
            yield file


def without_comments(text):
    """The code, with comments and strings blanked; lines stay where they are."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found[0])
    return _TOKEN.sub(blank, text)


def without_tests(code):
    """The code before its module of tests, which stands last."""
    found = _TESTS.search(code)
    return code[: found.start()] if found else code


def comments(text):
    """(line number, comment) of each line of comment."""
    for found in _TOKEN.finditer(text):
        if found["line"] or found["block"]:
            first = text.count("\n", 0, found.start()) + 1
            for offset, line in enumerate(found[0].split("\n")):
                yield first + offset, line.strip()


def definitions(code):
    """(kind, name) of what a file defines at any depth."""
    return [(found[1], found[2]) for found in _DEFINITION.finditer(code)]


def expand(path):
    """The single paths of a use tree: `a::{b, c::d as e}` is `a::b` and `a::c::d`."""
    path = re.sub(r"\s+as\s+\w+", "", path).strip()
    opening = path.find("{")
    if opening < 0:
        return [re.sub(r"\s+", "", path)]
    prefix, inner, depth, part, parts = path[:opening], path[opening + 1 : path.rindex("}")], 0, "", []
    for letter in inner:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += letter
    return [prefix.strip() + one for part in [*parts, part] if part.strip() for one in expand(part)]


class Crate:
    """The modules of a crate's `src` and what they use of each other."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.modules = {self._module(file): file for file in sources(self.folder)}
        self.code = {module: without_tests(without_comments(file.read_text())) for module, file in self.modules.items()}
        self.defined = {module: {name for kind, name in definitions(code) if kind != "mod"} for module, code in self.code.items()}
        self.exported = {module: self._exports(module, code) for module, code in self.code.items()}

    def _module(self, file):
        parts = list(file.relative_to(self.folder).with_suffix("").parts)
        if parts[-1] in {"mod", "lib", "main"}:
            parts.pop()
        return tuple(parts)

    def _exports(self, module, code):
        found = {}
        for public, tree in _USE.findall(code):
            if public:
                for path in expand(tree):
                    found[path.rsplit("::", 1)[-1]] = self._absolute(module, path)
        return found

    def _absolute(self, module, path):
        parts = path.split("::")
        if parts[0] == "crate":
            return tuple(parts[1:])
        here = list(module)
        if parts[0] == "self":
            return (*here, *parts[1:])
        if parts[0] != "super":
            return (*here, *parts) if (*here, parts[0]) in self.modules else None
        while parts and parts[0] == "super":
            here = here[:-1]
            parts.pop(0)
        return (*here, *parts)

    def _file_of(self, path, depth=0):
        """The module that defines what an absolute path names; None where that is no item of a file of this crate."""
        if path is None or depth > 8:
            return None
        for length in range(len(path) - 1, -1, -1):
            module = path[:length]
            if module in self.modules:
                name = path[length]
                if path in self.modules or name == "*":
                    return None
                if name in self.exported[module] and name not in self.defined[module]:
                    target = self.exported[module][name]
                    return self._file_of(target, depth + 1) if target != path else None
                return module if name in self.defined[module] else None
        return None

    def uses(self):
        """For each module the modules of which it uses an item, but for its parent: {module: {other: {names}}}."""
        graph = {}
        for module, code in self.code.items():
            paths = [path for public, tree in _USE.findall(code) if not public for path in expand(tree)]
            paths += _INLINE.findall(_USE.sub("", code))
            imported = {path.rsplit("::", 1)[-1]: self._absolute(module, path) for path in paths}
            # `use super::lock;` and then `lock::rows(..)`.
            for name, target in list(imported.items()):
                if target in self.modules:
                    paths += ["crate::" + "::".join([*target, item]) for item in re.findall(rf"\b{name}::(\w+)", code)]
            # A child module that is used by its name.
            for child in self.modules:
                if child[:-1] == module and child:
                    paths += [f"crate::{'::'.join([*child, item])}" for item in re.findall(rf"(?<![\w:]){child[-1]}::(\w+)", code)]
            for path in paths:
                other = self._file_of(self._absolute(module, path))
                # A folder is one idea: its `mod.rs` holds the type, the files in it what it does.
                if other is not None and other not in (module, module[:-1]):
                    graph.setdefault(module, {}).setdefault(other, set()).add(path.rsplit("::", 1)[-1])
        return graph

    def circles(self):
        """Groups of files that use each other in a loop."""
        graph = self.uses()
        index, low, stack, found, counter = {}, {}, [], [], [0]

        def visit(node):
            index[node] = low[node] = counter[0]
            counter[0] += 1
            stack.append(node)
            for other in graph.get(node, {}):
                if other not in index:
                    visit(other)
                    low[node] = min(low[node], low[other])
                elif other in stack:
                    low[node] = min(low[node], index[other])
            if low[node] == index[node]:
                group = []
                while True:
                    one = stack.pop()
                    group.append(one)
                    if one == node:
                        break
                if len(group) > 1:
                    found.append(sorted(group))

        for module in self.modules:
            if module not in index:
                visit(module)
        return [[str(self.modules[module].relative_to(self.folder.parent)) for module in group] for group in found]
