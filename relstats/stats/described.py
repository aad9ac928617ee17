"""What every statistic has: options that are checked by their words, and a result that says how it
was made.
"""

from __future__ import annotations

import functools
import inspect
import json
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAliasType, get_args, get_origin, get_type_hints

import numpy as np
import xarray as xr

from relstats.errors import UsageError
from relstats.study.provenance import provenance

#: What to do with images on which a map is NaN.
Nan = Literal["raise", "omit"]
#: What to do with images that only some groups have.
Align = Literal["exact", "inner"]
#: Degrees of freedom of the two-way jackknife.
Degrees = Literal["satterthwaite", "pooled"]

#: The least of each number of random draws, and what more of them give.
_LEAST = {
    "n_swaps": (1, "give at least 1, and 1 / (n + 1) is the smallest p it can reach"),
    "n_permutations": (2, "give at least 2, better 1000"),
    "n_draws": (2, "give at least 2, better 1000"),
    "n_splits": (1, "give at least 1"),
}


def described[**P](statistic: Callable[P, xr.Dataset]) -> Callable[P, xr.Dataset]:
    """A statistic whose options are checked, and whose result has its parameters, seed, command,
    dropped images and versions as attributes.

    Parameters
    ----------
    statistic : callable
        From a study (or its groups), keyword options and perhaps `rng` to a result. Attributes that
        it sets win; those that it sets to None are left out. What `check_options` checks it need
        not.

    Returns
    -------
    callable
        The same, with its signature, docstring and examples.

    Notes
    -----
    Attributes: `statistic`, its name; every parameter that is plain data, given or not, but for
    those that are None; `seed` of a generator from which nothing was drawn yet, or else its
    `rng_state`, as JSON; `command`, what would be typed; `dropped_images` of the study; and
    `relstats.study.provenance.provenance`.

    Examples
    --------
    >>> @described
    ... def mean(study: xr.Dataset, *, nan: Nan = "raise", axis: str | None = None) -> xr.Dataset:
    ...     return study.mean().assign_attrs(method="Values were averaged.")
    >>> result = mean(xr.Dataset({"score": ("image", [0.0, 1.0])}), nan="omit")
    >>> result.attrs["statistic"], result.attrs["nan"], result.attrs["command"]
    ('mean', 'omit', 'mean STUDY --nan omit')
    >>> mean(xr.Dataset(), nan="drop")
    Traceback (most recent call last):
    relstats.errors.UsageError: nan is 'drop'; it is one of raise, omit
    """
    signature = inspect.signature(statistic)

    @functools.wraps(statistic)
    def checked(*args: P.args, **kwargs: P.kwargs) -> xr.Dataset:
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        check_options(statistic, **call.arguments)
        drawn_from = _seed(call.arguments.get("rng"))
        result = statistic(*args, **kwargs)
        attrs = {
            "statistic": statistic.__name__,
            **_plain_data(call.arguments),
            **drawn_from,
            "command": _command(statistic.__name__, call, drawn_from.get("seed")),
            **_dropped_images(call.arguments),
            **provenance(),
        }
        attrs |= result.attrs
        result = result.copy(deep=False)
        result.attrs = {name: value for name, value in attrs.items() if value is not None}
        return result

    return checked


def check_options(statistic: Callable[..., Any], **options: Any) -> None:
    """Refuse options by their words: those with choices, and numbers that have one meaning
    everywhere.

    Parameters
    ----------
    statistic : callable
        Its annotations give the choices: `Literal`, a collection of it, or an alias; one that is
        `Annotated` with a text says that, too.
    **options
        Any of its parameters. `confidence` lies between 0 and 1; `n_swaps`, `n_draws`,
        `n_permutations` and `n_splits` are large enough.

    Raises
    ------
    UsageError
        What the option is, and what it can be.

    Examples
    --------
    >>> def compare(*, nan: Nan, confidence: float): ...
    >>> check_options(compare, confidence=95)
    Traceback (most recent call last):
    relstats.errors.UsageError: confidence is 95; a confidence level lies between 0 and 1, such as
    0.95
    """
    choices = _choices(statistic)
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if name in choices:
            _require_known(name, value, *choices[name])
        if name == "confidence" and not 0 < value < 1:
            raise UsageError(
                f"confidence is {value}; a confidence level lies between 0 and 1, such as 0.95"
            )
        if name in _LEAST and value < _LEAST[name][0]:
            raise UsageError(f"{name} is {value}; {_LEAST[name][1]}")


def _require_known(
    name: str, value: Any, known: tuple[Any, ...], several: bool, reason: str
) -> None:
    if several:
        is_known = not isinstance(value, str) and all(each in known for each in value)
    else:
        is_known = value in known
    if not is_known:
        kind = "a list of" if several else "one of"
        raise UsageError(f"{name} is {value!r}; it is {kind} {', '.join(map(str, known))}{reason}")


@functools.cache
def _choices(statistic: Callable[..., Any]) -> dict[str, tuple[tuple[Any, ...], bool, str]]:
    """Of each parameter that has them: its choices, whether it takes several, and why only
    these.
    """
    hints = get_type_hints(statistic, include_extras=True)
    return {name: choices for name, hint in hints.items() for choices in _literals(hint)}


def _literals(hint: Any, several: bool = False, reason: str = "") -> Iterator[Any]:
    if isinstance(hint, TypeAliasType):
        yield from _literals(hint.__value__, several, reason)
    elif get_origin(hint) is Annotated:
        inner, *texts = get_args(hint)
        said = "".join(f": {text}" for text in texts if isinstance(text, str))
        yield from _literals(inner, several, said)
    elif get_origin(hint) is Literal:
        yield get_args(hint), several, reason
    else:  # a union, or a collection
        origin = get_origin(hint)
        is_collection = isinstance(origin, type) and issubclass(origin, Collection)
        for part in get_args(hint):
            yield from _literals(part, several or is_collection, reason)


def _plain_data(arguments: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _plain(value) for name, value in arguments.items()}
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    """As an attribute can hold it; None for what is no text, number or list of them."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return _plain(sorted(value))
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        return None if None in items else items
    return None


def _seed(rng: np.random.Generator | None) -> dict[str, Any]:
    """What makes the same generator again."""
    if rng is None:
        return {}
    bits = rng.bit_generator
    state = json.dumps(bits.state, default=np.ndarray.tolist)
    origin = bits.seed_seq
    if isinstance(origin, np.random.SeedSequence) and not origin.spawn_key:
        fresh = type(bits)(origin)  # type: ignore[call-arg]
        if json.dumps(fresh.state, default=np.ndarray.tolist) == state:
            return {"seed": _plain(origin.entropy)}
    return {"rng_state": state}


def _command(name: str, call: inspect.BoundArguments, seed: Any) -> str:
    """What would be typed: options that are not the default.

    Data stand as their names in capitals.
    """
    words = [_kebab(name)]
    for parameter in call.signature.parameters.values():
        value = call.arguments[parameter.name]
        option = f"--{_kebab(parameter.name)}"
        if parameter.name == "rng":
            words += _option("--seed", seed) if isinstance(seed, int) else []
        elif isinstance(value, (xr.Dataset, xr.DataArray, xr.DataTree)):
            is_option = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            words += [option] * is_option + [parameter.name.upper()]
        elif _plain(value) not in (None, _plain(parameter.default)):
            words += _option(option, _plain(value))
    return " ".join(words)


def _option(option: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    several = value if isinstance(value, list) else [value]
    return [word for each in several for word in (option, shlex.quote(str(each)))]


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _dropped_images(arguments: Mapping[str, Any]) -> dict[str, list[str]]:
    studies = [value for value in arguments.values() if isinstance(value, xr.DataTree)]
    dropped = [image for study in studies for image in study.attrs.get("dropped_images", ())]
    return {"dropped_images": dropped} if dropped else {}
