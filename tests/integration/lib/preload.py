"""Libraries that are loaded into the program before all others, and controlled while it runs.

Each is a C file beside the tests. It maps the file named by SHIM_CONTROL, into which the test
writes numbers (64 bits, signed), so that a change counts at once and needs no system call.
"""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1]
SIZE = 4096


class Shim:
    def __init__(self, source: str, folder: Path):
        compiler = shutil.which("cc") or shutil.which("gcc")
        assert compiler, "a C compiler is needed"
        self.library = folder / f"{Path(source).stem}.so"
        command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o", self.library]
        subprocess.run([*command, SOURCES / source, "-ldl"], check=True)
        self.control = folder / f"{Path(source).stem}.control"
        self.control.write_bytes(bytes(SIZE))
        # The program may be somebody else by the time it opens the file.
        folder.chmod(0o755)
        with open(self.control, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SIZE)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "SHIM_CONTROL": str(self.control)}

    def __getitem__(self, index: int) -> int:
        return struct.unpack_from("q", self._memory, 8 * index)[0]

    def __setitem__(self, index: int, value: int) -> None:
        struct.pack_into("q", self._memory, 8 * index, value)
