"""Makes each of the given files end with exactly one newline. Fails if it changed one."""

import sys
from pathlib import Path


def fixed(path: Path) -> bool:
    content = path.read_bytes()
    ending = b"\r\n" if content.endswith(b"\r\n") else b"\n"
    wanted = content.rstrip(b"\r\n") + ending if content.strip() else b""
    if content != wanted:
        path.write_bytes(wanted)
    return content != wanted


if __name__ == "__main__":
    sys.exit(sum(fixed(Path(name)) for name in sys.argv[1:]) > 0)
