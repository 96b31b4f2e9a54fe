"""Rotate the key of $FACERECON_CUSTODY in one child after the other, each killed (SIGKILL) one writing call later.

Prints for each child the public key in use before it, then ``killed`` or, of the last one, ``done``.
"""

import os
import signal
import sys

from facerecon.custody.keys import rotate, signing_key

CALLS = {"os.rename", "os.remove", "os.mkdir"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def child(kill_at: int) -> None:
    calls = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal calls
        flags = arguments[2] if event == "open" else None
        if event in CALLS or (isinstance(flags, int) and flags & WRITING):
            calls += 1
            if calls == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    rotate()
    os._exit(0)


def main() -> None:
    for kill_at in range(1, 100):
        print(signing_key().public.raw.hex(), end=" ", flush=True)
        pid = os.fork()
        if pid == 0:
            child(kill_at)
        killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        print("killed" if killed else "done", flush=True)
        if not killed:
            return


if __name__ == "__main__":
    main()
