"""The results of a program, on lines that what Ray prints beside them cannot break."""

import sys

MARK = "result: "


def say(*values: object) -> None:
    """Prints the values on a marked line in one write, so that another thread's line does not come in between."""
    sys.stdout.write(f"\n{MARK}{' '.join(map(str, values))}\n")
    sys.stdout.flush()


def results(stdout: str) -> list[str]:
    """The marked lines of what a program printed."""
    return [line.removeprefix(MARK) for line in stdout.splitlines() if line.startswith(MARK)]
