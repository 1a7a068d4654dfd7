"""Find a Python that is new enough. Written so that Python 2.7 and all of 3 can read and run it."""

import os
import subprocess
import sys

# The newest comes last: packages with compiled parts often lag behind it.
VERSIONS = ("3.13", "3.12", "3.11", "3.14")
PROBE = "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 1)"


def find():
    """The command of a Python from 3.11 on, as a list, or None. A name that is there but does not run is no Python."""
    for version in VERSIONS:
        commands = [["python" + version]]
        if os.name == "nt":
            commands.append(["py", "-" + version])
        for command in commands:
            try:
                probe = subprocess.Popen(command + ["-c", PROBE], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            except OSError:
                continue
            probe.communicate()
            if probe.returncode == 0:
                return command
    return None


def remedy():
    """How to get a Python here, in one sentence."""
    if os.name == "nt":
        return "Install Python 3.12 from the Microsoft Store or python.org, then run this again."
    if sys.platform == "darwin":
        return "Install Python 3.12 from python.org or with `brew install python@3.12`, then run this again."
    if os.path.exists("/etc/debian_version"):
        return "Run `sudo apt install python3 python3-venv` (Debian 12 or Ubuntu 24.04 on), then run this again."
    return "Install Python 3.11 or newer with your package manager, then run this again."


def main(arguments):
    """Run the installer with a newer Python from PATH, or say what to install."""
    here = ".".join(str(part) for part in sys.version_info[:2])
    command = find()
    if command is None:
        sys.stderr.write("This is Python " + here + "; Sa2VA Roto needs 3.11 or newer, and none was found.\n")
        sys.stderr.write(remedy() + "\n")
        return 1
    sys.stderr.write("This is Python " + here + "; going on with " + " ".join(command) + ".\n")
    sys.stderr.flush()
    return subprocess.call(command + ["-m", "installer"] + list(arguments))
