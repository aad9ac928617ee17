"""What commands and options were called in 0.1.0: an old name is refused, and the new one said."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from relstats.commands.parser import Group
from relstats.errors import UsageError

#: First words of an old command line, the longer spelling first, and what is typed now.
COMMANDS = {
    "judgments": "relstats add judgments STUDY FILE",
    "regions add": "relstats add regions STUDY FILE",
    "regions measure": "relstats regions STUDY",
    "humanmaps add": "relstats add human-maps STUDY FILE",
    "humanmaps": "relstats human-maps STUDY",
    "behaviour add": "relstats add choices STUDY FILE",
    "behaviour measure": "relstats behaviour STUDY",
    "virelay import": "relstats add virelay STUDY MODEL:SEED=FILE.h5",
    "virelay export": "relstats virelay STUDY OUT.h5",
    "map": "relstats differences STUDY --axis AXIS",
}
#: Old option, of one command or of all, and the new one.
OPTIONS = {
    "compare --agreement": "relstats compare-human --comparison",
    "compare --on": "relstats compare-human --on",
    "compare --layer": "relstats compare-human --layer",
    "compare --random": "relstats compare-human --random",
    "rdm --measure": "--dissimilarity",
    "rsa --measure": "--comparison",
    "rsa --correct": "--correction",
    "rsa --n-resamples": "--n-draws",
    "--agreement": "--comparison",
    "--level": "--confidence",
    "--n-resamples": "--n-swaps",
}
#: Command, option and its old value, and what is typed now.
VALUES = {
    ("compare", "--measure", "human"): "relstats compare-human STUDY --axis AXIS",
}


class RefuseOldNames(Group):
    """A group of commands that knows what they and their options were called before."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Refuse an old command, or an old value of an option."""
        new = renamed(args)
        if new:
            raise UsageError(new)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Say what an unknown option is called now."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            new = explained(error)
            if not new:
                raise
            raise UsageError(new) from error


def renamed(arguments: Sequence[str]) -> str:
    """What an old command is called now; empty where it is none.

    Examples
    --------
    >>> renamed(["virelay", "export", "study.zarr", "maps.h5"])
    "'relstats virelay export' is now relstats virelay STUDY OUT.h5"
    >>> renamed(["virelay", "study.zarr", "maps.h5"])
    ''
    """
    for old, new in COMMANDS.items():
        words = old.split()
        if list(arguments[: len(words)]) == words:
            return f"'relstats {old}' is now {new}"
    typed = [word for argument in arguments for word in argument.split("=", 1)]
    for (command, option, value), new in VALUES.items():
        if typed[:1] == [command] and (option, value) in itertools.pairwise(typed):
            return f"'relstats {command} {option} {value}' is now {new}"
    return ""


def explained(error: Exception) -> str:
    """What to type instead of what the parser did not understand; empty where it is not known."""
    context = getattr(error, "ctx", None)
    if context is None:
        return ""
    command, path = context.command, context.command_path
    option = getattr(error, "option_name", "")
    if type(error).__name__ == "NoSuchOption":
        new = OPTIONS.get(f"{command.name} {option}") or OPTIONS.get(option)
        return f"'{path} {option}' is now {new}" if new else ""
    several = [p.opts[0] for p in command.params if getattr(p, "multiple", False)]
    message = str(getattr(error, "message", ""))
    if several and "unexpected extra argument" in message:
        return (
            f"{path}: {message[0].lower()}{message[1:].rstrip('.')}. Several values of an option"
            f" are comma-separated: {several[0]} A,B"
        )
    return ""
