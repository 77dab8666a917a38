"""What the checks read: cargo's metadata and git."""

import json
import subprocess
import sys


def metadata(root):
    """Cargo's view of all packages of the workspace in this folder, with the lock file as it is."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    done = subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"ops/checks: cargo metadata failed; if Cargo.lock is out of date, commit a new one:\n{done.stderr}")
    return json.loads(done.stdout)


def git(root, *arguments):
    """What git prints, without the last newline; None when it fails or there is no git."""
    command = ["git", "-C", str(root), "-c", "safe.directory=*", *arguments]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.removesuffix("\n") if done.returncode == 0 else None
