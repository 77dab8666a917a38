"""No file names a folder of the machine it was written on."""

import re
from pathlib import Path

from workspace import git

# Put together here, so that this file does not match itself.
FOLDERS = ["/" + "root/", "/" + "work/main", "/" + "work/shared"]

# A file larger than this is data.
LIMIT = 4 * 1024 * 1024


def check(root, home=None):
    home = str(home or Path.home())
    folders = FOLDERS + [folder for folder in (str(root), home) if folder.count("/") >= 2]
    # Not in the middle of a longer path: `deploy/root/` is somebody else's.
    pattern = re.compile(rb"(?<![\w.~-])(" + b"|".join(re.escape(folder.encode()) for folder in folders) + rb")")
    names = git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z") or ""
    for name in filter(None, names.split("\0")):
        file = root / name
        if file.is_symlink() or not file.is_file() or file.stat().st_size > LIMIT:
            continue
        for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
            found = pattern.search(line)
            if found:
                yield f"{name}:{number} names a folder of this machine: {found[1].decode()}"
