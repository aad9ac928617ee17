"""How a network is built and its weights are loaded: safely, exactly, and ready to be explained."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from relstats.compute.study_file.settings import Model
from relstats.errors import InvalidData, UsageError

#: Before this release, `torch.load(weights_only=True)` could be made to run code.
_SAFE_TORCH = (2, 10)
_SHOWN = 5
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_CONVERT = (
    "Where you trust the file, save its weights alone, in the code that made it: "
    "safetensors.torch.save_file(network.state_dict(), 'weights.safetensors')"
)


def build(model: Model, seed: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Build the network of a model and a seed: weights loaded, in evaluation mode, frozen.

    Parameters
    ----------
    model : Model
        Of a study file.
    seed : str
        One of its checkpoints.
    device, dtype
        Where it is to be, and in which precision.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    InvalidData
        The checkpoint is missing, of another architecture (it names the keys), not finite, or of a
        kind that could run code.
    UsageError
        The factory cannot be imported, or fails.
    """
    where = f"model {model.name!r}, seed {seed!r}"
    state = load_state(model.checkpoints[seed])
    module = _module(model)
    _require_same_keys(
        module.state_dict(),
        state,
        f"{where}: {model.checkpoints[seed]} does not fit {model.factory}",
    )
    module.load_state_dict(state)
    broken = [
        name for name, value in module.state_dict().items() if not torch.isfinite(value).all()
    ]
    if broken:
        raise InvalidData(
            f"{where}: {len(broken)} tensor(s) of {model.checkpoints[seed]} hold NaN or infinite"
            f" weights ({_first(broken)}): its maps would be NaN. Use a checkpoint from before it"
            " diverged"
        )
    return module.to(device=device, dtype=dtype).eval().requires_grad_(False)


def require_output(module: nn.Module, model: Model, sample: Tensor) -> None:
    """Raise unless the network takes such images and has as many outputs as the model has class
    names.

    Parameters
    ----------
    sample : Tensor, (image, channel, y, x)
        A batch of one or more, on the network's device.
    """
    try:
        with torch.no_grad():
            logits = module(
                sample.clone()
            )  # a network may change its input in place, and the caller uses it again
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError) as error:
        shape = " x ".join(map(str, sample.shape[1:]))
        raise InvalidData(
            f"model {model.name!r} does not take images of {shape} (channel, y, x): {_line(error)}."
            " Mend size or channels in the study file"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        got = (
            f"a tensor of shape {tuple(logits.shape)}"
            if isinstance(logits, Tensor)
            else type(logits).__name__
        )
        raise InvalidData(
            f"model {model.name!r} returns {got}, not logits (image, class). Wrap it in a factory"
            " that does"
        )
    if logits.shape[1] != len(model.classes):
        raise InvalidData(
            f"model {model.name!r} has {logits.shape[1]} outputs but {len(model.classes)} class"
            f" names ({_first(list(model.classes))}): labels would be shifted. Mend classes or the"
            " factory's arguments"
        )


def note(model: Model) -> str:
    """What a network may be lacking that no checkpoint tells; empty where nothing is.

    torchvision's `pretrained` GoogLeNet and Inception v3 have `transform_input = True`, and so have
    those fine-tuned from them.
    """
    if model.factory not in ("googlenet", "inception_v3") or "transform_input" in model.arguments:
        return ""
    return (
        f"note: model {model.name!r}: {model.factory} is built with transform_input = false, and no"
        " checkpoint says which it was trained with. Networks that were fine-tuned from"
        f" torchvision's pretrained weights have it true: {_SAME_INPUT}. Otherwise write"
        " transform_input = false in arguments, and this is not said again"
    )


#: x * 0.229 / 0.5 + (0.485 - 0.5) / 0.5, for a red x = (pixel - 0.485) / 0.229, is (pixel - 0.5) /
#: 0.5.
_SAME_INPUT = (
    "it turns pixels normalised by ImageNet's mean and std into those of mean = [0.5], std = [0.5],"
    " so give these in preprocessing in place of ImageNet's"
)


def without_transform(module: nn.Module) -> str:
    """How to do without `transform_input` of torchvision's networks, which relevance cannot go
    through; empty for others.
    """
    if getattr(module, "transform_input", False) is not True:
        return ""
    return f". The network has transform_input = true: leave that out of arguments; {_SAME_INPUT}"


def checkpoint_sha256(path: str | Path) -> str:
    """Hex digest (sha256) of a checkpoint file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_hash(module: nn.Module) -> str:
    """Hex digest (sha256) of all parameters and buffers by name: equal before and after, the
    network is unchanged.

    Examples
    --------
    >>> layer = nn.Linear(2, 1)
    >>> before = state_hash(layer)
    >>> with torch.no_grad():
    ...     _ = layer.weight.add_(1)
    >>> state_hash(layer) == before
    False
    """
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(
            f"{name} {tuple(value.shape)} {value.dtype}".encode()
            + flat.view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def pick_device(name: str) -> torch.device:
    """The device of that name, if this machine has it.

    Raises
    ------
    UsageError
        There is no such device: what there is instead.

    Examples
    --------
    >>> pick_device("cpu")
    device(type='cpu')
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f'device is {name!r}: give "cpu", "cuda", "cuda:1" or "mps"') from None
    if device.type == "cuda":
        _require_cuda(device)
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(
            f"device {name!r} was asked for, but torch {torch.__version__} sees none here. Use"
            " --device cpu"
        )
    elif device.type not in ("cpu", "mps"):
        raise UsageError(f'device is {name!r}: give "cpu", "cuda", "cuda:1" or "mps"')
    return device


def _require_cuda(device: torch.device) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        why = (
            "was built without CUDA"
            if torch.version.cuda is None
            else "sees no GPU: check its driver and CUDA_VISIBLE_DEVICES"
        )
        raise UsageError(
            f"device {str(device)!r} was asked for, but torch {torch.__version__} {why}. Use"
            " --device cpu"
        )
    if (device.index or 0) >= count:
        raise UsageError(
            f"device {str(device)!r} was asked for, but there are {count} GPU(s), counted from"
            " cuda:0"
        )


def load_state(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name from a checkpoint, without executing anything in it.

    Parameters
    ----------
    path : str or Path
        A `.safetensors` file, or a state dict as `.pt` or `.pth`.

    Raises
    ------
    InvalidData
        Anything else: what it is, and how to convert it.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidData(f"no such checkpoint: {str(path)!r}. Mend the path in the study file")
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix not in (".pt", ".pth"):
        raise InvalidData(
            f"{path}: a checkpoint is .safetensors, or a state dict as .pt or .pth, not"
            f" {path.suffix or 'without suffix'!r}. {_CONVERT}"
        )
    with open(path, "rb") as file:
        head = file.read(8)
    if not head.startswith((_ZIP, _PICKLE)):
        kind = (
            "a web page (the download failed)"
            if head.lstrip()[:1] == b"<"
            else f"no checkpoint: it begins with {head!r}"
        )
        raise InvalidData(f"{path} is {kind}. Download it again, or name another file")
    return _state_dict(path)


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise InvalidData(
            f"{path} is no safetensors file, or a damaged one ({_line(error)}). Copy it again"
        ) from None


def _state_dict(path: Path) -> dict[str, Tensor]:
    version = torch.__version__
    if tuple(int(part) for part in version.split(".")[:2]) < _SAFE_TORCH:
        raise InvalidData(
            f"{path} is a pickle, which torch {version} cannot load safely. "
            f"Install torch >= {'.'.join(map(str, _SAFE_TORCH))}, or convert the file: {_CONVERT}"
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # whatever a hostile or broken file provokes: it was not executed, and is named
        raise InvalidData(
            f"{path} is not a plain state dict, and was not executed ({_line(error)}). {_CONVERT}"
        ) from None
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        keys = _first(list(loaded)) if isinstance(loaded, Mapping) else type(loaded).__name__
        raise InvalidData(
            f"{path} holds more than a state dict ({keys}): which part is the network's is not"
            f" guessed. {_CONVERT}"
        )
    return {str(name): value for name, value in loaded.items()}


def _module(model: Model) -> nn.Module:
    factory = _factory(model)
    try:
        with torch.random.fork_rng(
            devices=[]
        ):  # the weights drawn here are replaced; the user's random state is not ours
            module = factory(**model.arguments)
    except Exception as error:  # code of the user's, which may raise anything
        raise UsageError(
            f"model {model.name!r}: {model.factory}({_arguments(model.arguments)}) fails: "
            f"{type(error).__name__}: {_line(error)}. Mend the factory or its arguments"
        ) from error
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"model {model.name!r}: {model.factory} returns {type(module).__name__}, not a"
            " torch.nn.Module"
        )
    return module


def _factory(model: Model) -> Callable[..., Any]:
    name, _, attribute = model.factory.partition(":")
    if not attribute:
        return _of_torchvision(model)
    try:
        with modules_of(model.folder):
            found: Any = importlib.import_module(name)
            for part in attribute.split("."):
                found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"model {model.name!r}: cannot import factory {model.factory!r} ({error}). Modules are"
            f" looked for among the installed ones and in {str(model.folder.resolve())!r}"
        ) from error
    factory: Callable[..., Any] = found
    return factory


def _of_torchvision(model: Model) -> Callable[..., Any]:
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    if model.factory not in names:
        near = difflib.get_close_matches(model.factory, names)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise UsageError(
            f"model {model.name!r}: torchvision has no {model.factory!r}.{hint} Your own is"
            ' "package.module:callable"'
        )
    return lambda **arguments: torchvision.models.get_model(
        model.factory, weights=None, **arguments
    )


@contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """Let modules be imported from a folder, after those that are installed."""
    entry = str(folder.resolve())
    sys.path.append(entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _require_same_keys(
    expected: Mapping[str, Tensor], got: Mapping[str, Tensor], what: str
) -> None:
    missing, unexpected = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
    shapes = [
        f"{k} {tuple(got[k].shape)} instead of {tuple(expected[k].shape)}"
        for k in expected
        if k in got and got[k].shape != expected[k].shape
    ]
    parts = [
        (f"{len(missing)} missing", missing),
        (f"{len(unexpected)} unexpected", unexpected),
        (f"{len(shapes)} of another shape", shapes),
    ]
    differ = "; ".join(f"{label}: {_first(names)}" for label, names in parts if names)
    if differ:
        prefix = unexpected and all(key.startswith("module.") for key in got)
        hint = (
            "They begin with 'module.': save network.module.state_dict()"
            if prefix
            else "Check factory, arguments and checkpoint"
        )
        raise InvalidData(f"{what}: {differ}. {hint}")


def _first(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
