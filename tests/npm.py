"""Installs the pinned npm packages of a folder, exactly as its lock file says."""

import shutil
import subprocess
from pathlib import Path

from tests.servers import ServerMissing


def installed(folder: Path) -> Path:
    """Make sure that `folder/node_modules` is what `package-lock.json` says; return the folder.

    Once for each state of the lock file: `npm ci` leaves a copy of it behind.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ServerMissing("npm")
    lock = (folder / "package-lock.json").read_bytes()
    stamp = folder / "node_modules" / ".pratique-lock"
    if not stamp.exists() or stamp.read_bytes() != lock:
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"npm ci in {folder} failed:\n{done.stderr}"
        stamp.write_bytes(lock)
    return folder
