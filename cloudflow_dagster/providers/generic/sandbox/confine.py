"""Takes away from the process it runs in what the code of a flow has no business with.

Runs in the child, which can import nothing but the standard library. Everything here is done by the
kernel and cannot be undone by the code: limits (`setrlimit`), files (Landlock: nothing but Python
itself and the process's own folder, so neither the user's credential files nor `/proc/…/environ` of
the run), network (seccomp: no sockets but local ones, so no metadata service either). Kernels that
lack one of them leave it out; the caller learns which.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_ONLY_FILE = 1 << 0 | 1 << 2  # execute, read
_READ_ONLY = _READ_ONLY_FILE | 1 << 3  # and list folders
_DEVICE = 1 << 1 | 1 << 2  # write, read
_READABLE = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ssl")
_READABLE_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_SYSCALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Per machine: the audit architecture and the number of `socket`."""
_IO_URING_SETUP = 425


def limit(megabytes: int, seconds: float) -> None:
    """Limit memory, processor time, open files, file sizes and processes."""
    cpu = int(seconds) + 2
    wanted = {
        resource.RLIMIT_AS: megabytes * 2**20,
        resource.RLIMIT_CPU: cpu,
        resource.RLIMIT_NOFILE: 128,
        resource.RLIMIT_FSIZE: 64 * 2**20,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: _tasks_of_user() + 32,
    }
    for kind, value in wanted.items():
        _, hard = resource.getrlimit(kind)
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (lowest, lowest))


def confine(folder: Path) -> list[str]:
    """Take away the files outside the folder and the network; returns what could not be."""
    if sys.platform != "linux":
        return ["files", "network"]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return ["files", "network"]
    left = [] if _confine_files(libc, folder) else ["files"]
    return left if _confine_network(libc) else [*left, "network"]


def _tasks_of_user() -> int:
    """Count the threads of this user, which is what `RLIMIT_NPROC` is compared with."""
    count = 0
    try:
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{entry.name}/task"))  # noqa: PTH208 - names only
    except OSError:  # a process ended meanwhile, or there is no /proc
        return count + 4096
    return count


def _confine_files(libc: ctypes.CDLL, folder: Path) -> bool:
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 1:
        return False
    rights = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):  # refer, truncate, ioctl on devices
        rights |= 1 << bit if version >= since else 0
    attributes = struct.pack("=Q", rights)
    if version >= 6:  # noqa: PLR2004 - the version that knows scopes: signals, abstract sockets
        attributes = struct.pack("=QQQ", rights, 0, 3)
    rules = libc.syscall(
        _LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0)
    )
    if rules < 0:
        return False
    try:
        for path in {*_READABLE, sys.prefix, sys.base_prefix, sys.exec_prefix}:
            _allow(libc, rules, path, _READ_ONLY)
        for path in _READABLE_FILES:
            _allow(libc, rules, path, _READ_ONLY_FILE)
        for path in _DEVICES:
            _allow(libc, rules, path, _DEVICE)
        _allow(libc, rules, str(folder), rights)
        return bool(libc.syscall(_LANDLOCK_RESTRICT, rules, ctypes.c_uint(0)) == 0)
    finally:
        os.close(rules)


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no permission
    try:
        rule = struct.pack("=Qi", rights, place)
        libc.syscall(_LANDLOCK_ADD, rules, ctypes.c_uint(1), rule, ctypes.c_uint(0))
    finally:
        os.close(place)


def _confine_network(libc: ctypes.CDLL) -> bool:
    known = _SYSCALLS.get(platform.machine())
    if known is None:
        return False
    architecture, socket = known
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    allowed, refused = 0x7FFF0000, 0x00050001  # allow; fail with EPERM
    steps = [
        (load, 0, 0, 4),  # the architecture of the call
        (equal, 0, 6, architecture),
        (load, 0, 0, 0),  # the number of the call
        (at_least, 4, 0, 0x40000000),  # the x32 calls, another way to the same ends
        (equal, 3, 0, _IO_URING_SETUP),  # makes sockets too
        (equal, 0, 3, socket),
        (load, 0, 0, 16),  # its first argument, the family
        (equal, 1, 0, 1),  # local sockets, which asyncio needs
        (give, 0, 0, refused),
        (give, 0, 0, allowed),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *s) for s in steps))
    header = struct.pack("@HP", len(steps), ctypes.addressof(program))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0) == 0)
