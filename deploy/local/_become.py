"""Change what this process is, then become another program. Run as a script, never imported.

    python -I -S _become.py [--parent PID] [--namespace | --setuid UID:GID] [--chdir DIR] -- …

A script of its own and not a `preexec_fn`, because code between fork and exec can deadlock in a
program that has threads. The process id stays the same throughout.
"""

import ctypes
import os
import signal
import sys

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_NOBODY = 65534


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to end us when the parent ends, however it ends (Linux only)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we could ask
        sys.exit(0)


def _leave_root_by_namespace() -> None:
    """Be `nobody` inside a user namespace of our own, and still the same owner outside it.

    PostgreSQL refuses to run as uid 0. Inside the namespace it is 65534; to the file system it is
    whom it was before, so no user is made and no directory opened.
    """
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_NOBODY} {uid} 1"),
        ("gid_map", f"{_NOBODY} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _leave_root_by_setuid(ids: str) -> None:
    uid, gid = (int(part) for part in ids.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _main(words: list[str]) -> None:
    while words and words[0] != "--":
        option = words.pop(0)
        if option == "--namespace":
            _leave_root_by_namespace()
        elif option == "--setuid":
            _leave_root_by_setuid(words.pop(0))
        elif option == "--parent":
            _die_with_parent(int(words.pop(0)))
        elif option == "--chdir":
            os.chdir(words.pop(0))
        else:
            raise SystemExit(f"unknown option {option}")
    program = words[1:]
    os.execvp(program[0], program)  # noqa: S606


_main(sys.argv[1:])
