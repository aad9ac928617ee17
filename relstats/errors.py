"""What can go wrong, by who can mend it. Each leaf carries the exit code of the command line."""

from __future__ import annotations


class RelstatsError(Exception):
    """A known error: one clear message that says what, where, why it matters and what to do.

    Parameters
    ----------
    message : str
        The whole message. The command line prints it on one line of stderr and exits with
        `exit_code`.

    Examples
    --------
    >>> UsageError("no such study: 'facs.zarr'. Did you mean 'faces.zarr'?").exit_code
    2
    """

    exit_code = 1


class UsageError(RelstatsError):
    """The call itself is wrong: a path, an option, a name that does not exist."""

    exit_code = 2


class InvalidData(RelstatsError):
    """The data break a rule of the study layout: labels, values, integrity."""

    exit_code = 3


class ImpossibleAnalysis(RelstatsError):
    """The data are fine, but this design cannot support the analysis asked for."""

    exit_code = 4
