"""True float32 and repeatable kernels while relevance is computed, whatever the caller has set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute float32 products in float32, not in TF32 or bfloat16, and with the same kernel each
    time.

    PyTorch's default rounds the factors of a convolution on a GPU to TF32 (10 bits), which moves
    maps by several per cent of their largest value. The caller's settings come back at the end,
    also after an error.
    """
    backends: Any = torch.backends  # its stubs do not know all of what is set here
    products = (
        backends.cuda.matmul,
        backends.cudnn.conv,
        backends.mkldnn.matmul,
        backends.mkldnn.conv,
    )
    before = [place.fp32_precision for place in products]
    kernels = backends.cudnn.deterministic, backends.cudnn.benchmark
    try:
        for place in products:
            place.fp32_precision = "ieee"
        backends.cudnn.deterministic, backends.cudnn.benchmark = True, False
        yield
    finally:
        for place, value in zip(products, before, strict=True):
            place.fp32_precision = value
        backends.cudnn.deterministic, backends.cudnn.benchmark = kernels
