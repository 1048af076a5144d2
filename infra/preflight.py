"""Whether Rotation can be set up here, before anything is fetched: `python infra/preflight.py`, a sentence for each obstacle.

A bare Python runs it, so it imports the standard library alone.
"""

import os
import platform
import pwd
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

# The newest Python that the tests were run with; make looks for it, or an older one, first.
TESTED = (3, 13)
# Processors that every dependency is built for (faust-streaming, on aarch64, goes on without its C parts).
MACHINES = ("x86_64", "aarch64")
# Requirement of pyvroom's wheels: Debian 12, Ubuntu 22.04, RHEL 9.
GLIBC = (2, 34)
# The environment takes 1.7 GB, and its archives on the way 1 GB.
FREE_MB = 3000
MB = 1 << 20
ROOT = Path(__file__).resolve().parents[1]


def of_the_machine(system: str, machine: str, bits: int, libc: tuple[str, str]) -> Iterator[str]:
    """Yield a machine's obstacles; `libc` is the C library's name and version, ("", "") where unknown."""
    if system != "Linux":
        yield f"Rotation runs on Linux, this is {system}: use a container. / 仅支持 Linux，本机为 {system}：请使用容器。"
    if machine not in MACHINES or bits != 64:
        wanted, found = " / ".join(MACHINES), f"{machine} ({bits} bit)"
        yield f"Rotation's dependencies are built for {wanted}, this is {found}. / 依赖包仅支持 {wanted}，本机为 {found}。"
    name, version = libc
    if name != "glibc" or tuple(map(int, version.split("."))) < GLIBC:
        wanted, found = ".".join(map(str, GLIBC)), " ".join(libc).strip() or "another (musl?)"
        yield (
            f"Rotation's dependencies need the C library glibc {wanted} (Debian 12, Ubuntu 22.04, RHEL 9), this is {found}. / "
            f"依赖包需要 glibc {wanted}，本机为 {found}。"
        )


def of_the_folder(folder: Path) -> Iterator[str]:
    """Yield why an environment cannot be made in `folder`."""
    if not os.access(folder, os.W_OK):
        yield f"{folder} cannot be written: clone into a folder of yours. / 无法写入 {folder}：请克隆到自己的目录。"
    free_mb = shutil.disk_usage(folder).free // MB
    if free_mb < FREE_MB:
        yield (
            f"The disk of {folder} has {free_mb} MB left and setting up needs {FREE_MB} MB: free some space. / "
            f"{folder} 所在磁盘仅剩 {free_mb} MB，安装需要 {FREE_MB} MB：请清理空间。"
        )


def of_the_user(uid: int) -> Iterator[str]:
    """Yield why PostgreSQL would refuse a user."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        yield (
            f"User {uid} has no name on this machine, and PostgreSQL needs one: add it to /etc/passwd. / "
            f"本机没有用户 {uid} 的名称，而 PostgreSQL 需要它：请将其加入 /etc/passwd。"
        )


def faults() -> Iterator[str]:
    """Yield a sentence for each obstacle here."""
    bits = 8 * struct.calcsize("P")
    yield from of_the_machine(platform.system(), platform.machine(), bits, platform.libc_ver())
    yield from of_the_folder(ROOT)
    yield from of_the_user(os.geteuid())


def main() -> None:
    """End with the first obstacle's sentence, or print the Python to use."""
    if fault := next(faults(), None):
        sys.exit(fault)
    untested = "" if sys.version_info[:2] <= TESTED else ", which the tests were not run with yet / 尚未用其运行测试"
    print(f"Python {platform.python_version()}, {sys.executable}{untested}")


if __name__ == "__main__":
    main()
