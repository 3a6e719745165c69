"""Errors whose message is meant for the user."""


class UserError(Exception):
    """Something the user can mend; the message is one line that names what and how.

    A setting or a job to do is named in backquotes (`batch_size`, `train`), so that who shows the
    message can spell it as the user knows it: the command line as a flag or a command.
    """


class SettingError(UserError, ValueError):
    """A setting, a field of `Config`, has a wrong value; `problem` says what is allowed."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"`{self.name}` {self.problem}"


class Unwritten(UserError):
    """A checkpoint of the folder `run` could not be written; the older one is as it was."""

    def __init__(self, reason: str, run: str) -> None:
        super().__init__(reason, run)
        self.reason, self.run = reason, run

    def __str__(self) -> str:
        return f"{self.reason}; make room, then continue with `resume` {self.run}"


class Lost(UserError):
    """Another process of those that train together has ended, or cannot be reached.

    `speaks`: this process is the one of those left that says so.
    """

    def __init__(self, message: str, speaks: bool) -> None:
        super().__init__(message, speaks)  # what it is made of again in another process
        self.speaks = speaks

    def __str__(self) -> str:
        return str(self.args[0])
