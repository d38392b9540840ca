"""Resource limits, of the program under test and of the tests themselves."""

import resource


def with_limits(**limits: int):
    """A `wrap` for Sotto: run with these limits, as in `with_limits(nofile=200)`."""
    options = [f"--{name}={value}:{value}" for name, value in limits.items()]
    return lambda command: ["prlimit", *options, "--", *command]


def set_open_files(pid: int, count: int | None = None) -> None:
    """Change the limit of open files of a running process; None: as many as it may have."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard if count is None else count, hard))


def allow_open_files(count: int) -> bool:
    """Let this process open so many files; False if it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return True
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
    except (ValueError, PermissionError):
        return False
    return True
