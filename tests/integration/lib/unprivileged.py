"""Running as somebody who may nothing: the user nobody, without groups."""

import os
import pwd
import shutil
import tempfile
from pathlib import Path

NOBODY = pwd.getpwnam("nobody")


def available() -> bool:
    return os.geteuid() == 0 and shutil.which("setpriv") is not None


def as_nobody(command) -> list[str]:
    ids = [f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--inh-caps=-all", *map(str, command)]


class PublicFolder:
    """A folder that everybody can read; the temporary ones of pytest are ours alone."""

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp(prefix="sotto-public-"))
        self.path.chmod(0o755)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)
