"""Append to the log at PATH in child processes and acknowledge each entry on stdout: ``NUMBER DIGEST``.

``appending.py PATH kill SEED ROUNDS`` kills (SIGKILL) one child after the other at a random moment, every third in the
midst of writing a line. ``appending.py PATH count COUNT`` appends so many in this process.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from facerecon.custody.audit import AuditLog


def append_for_ever(log: AuditLog, who: int) -> None:
    count = 0
    while True:
        head = log.append("tested", who=who, count=count)
        os.write(1, f"{head.number} {head.digest}\n".encode())
        count += 1


def die_in_the_midst(chance: random.Random) -> None:
    """Of one of the next writes only the beginning gets to the file."""
    write, left = os.write, chance.randrange(0, 6)

    def torn(descriptor: int, content: bytes) -> int:
        nonlocal left
        if descriptor == 1:
            return write(descriptor, content)
        if left == 0:
            write(descriptor, content[: chance.randrange(len(content))])
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return write(descriptor, content)

    os.write = torn


def main() -> None:
    log, what, number = AuditLog(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
    if what == "count":
        for count in range(number):
            head = log.append("tested", who=os.getpid(), count=count)
            print(*head)
        return
    chance = random.Random(number)
    for round_ in range(int(sys.argv[4])):
        moment = chance.uniform(0, 0.06)
        pid = os.fork()
        if pid == 0:
            if round_ % 3 == 2:
                die_in_the_midst(chance)
            append_for_ever(log, round_)
        if round_ % 3 == 2:
            os.waitpid(pid, 0)
            continue
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
