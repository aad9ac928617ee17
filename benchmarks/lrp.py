"""Images per second of forward, forward + input gradient, zennit, captum and relstats: one network,
one run.

    python benchmarks/lrp.py > benchmarks/results/lrp.md
    python benchmarks/lrp.py --device cuda --batch 64 > benchmarks/results/lrp_gpu.md

All methods take the same batch and threads, one after the other within each round; the best round
of each counts, because other work on the machine only ever slows a round. captum has no Flat and no
alpha2-beta1: its row is A1B0 in convolutions and Epsilon in linear layers, the nearest it offers.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision import models

from relstats.compute.lrp.attribute import relevance
from relstats.compute.lrp.plans import plan
from relstats.compute.lrp.precision import exact_float32

COMPOSITES = ("epsilon_plus_flat", "epsilon_alpha2_beta1_flat")
#: Multiply-adds x 2 of one image's way through VGG-16 at 224 px: exact counts, per composite.
GFLOP = {"epsilon_plus_flat": 92.2, "epsilon_alpha2_beta1_flat": 122.8}
#: TFLOP/s of an H200 in float32; with the way forward in float32 and the way back in bfloat16, as
#: their mean by time.
H200_FP32, H200_BF16 = 67e3, 790e3

Work = Callable[[], object]


def forward(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images)


def input_gradient(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    source = images.clone().requires_grad_()
    logits = network(source).gather(1, classes[:, None]).sum()
    return torch.autograd.grad(logits, source)[0]


def captum(network: nn.Module, images: Tensor, classes: Tensor) -> Work | None:
    """Return captum's nearest rules as work; None where captum is not installed."""
    try:
        from captum.attr import LRP
        from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule
    except ImportError:
        return None

    def work() -> Tensor:
        for part in network.modules():
            if isinstance(part, nn.Conv2d):
                part.rule = Alpha1_Beta0_Rule()
            elif isinstance(part, nn.Linear):
                part.rule = EpsilonRule()
        return LRP(network).attribute(images.clone().requires_grad_(), target=classes)

    return work


def methods(network: nn.Module, images: Tensor, classes: Tensor) -> dict[str, Work]:
    """Every row of the table, as work that can be repeated."""
    rows: dict[str, Work] = {
        "forward": lambda: forward(network, images),
        "forward + input gradient": lambda: input_gradient(network, images, classes),
    }
    if images.is_cuda:
        rows["forward, TF32"] = lambda: loosely(rows["forward"])
    for composite in COMPOSITES:
        for engine in ("zennit", "relstats"):
            prepared = plan(network, composite, engine=engine, sample=images)
            rows[f"{engine} {composite}"] = lambda prepared=prepared: relevance(
                prepared, images, classes
            )
            if images.is_cuda:
                rows[f"{engine} {composite}, TF32"] = lambda p=prepared: loosely(
                    lambda: p.explain(images, classes[:, None])
                )
    mixed = plan(network, COMPOSITES[0], precision="mixed", sample=images)
    rows[f"relstats {COMPOSITES[0]}, mixed"] = lambda: relevance(mixed, images, classes)
    return rows


def loosely(work: Work) -> object:
    """Run with TF32 on, PyTorch's default for convolutions."""
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    return work()


def seconds(work: Work, device: torch.device) -> tuple[float, float]:
    """Wall time of one round, and its peak of memory on the device in GB."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    began = time.perf_counter()
    with exact_float32():
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
    took = time.perf_counter() - began
    return took, torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else float("nan")


def measure(
    rows: dict[str, Work], rounds: int, device: torch.device
) -> dict[str, tuple[float, float]]:
    """Best time and largest peak of each row, over interleaved rounds.

    The first round only warms up.
    """
    best = {name: (float("inf"), 0.0) for name in rows}
    for turn in range(rounds + 1):
        for name, work in rows.items():
            took, peak = seconds(work, device)
            if turn:
                best[name] = min(best[name][0], took), max(best[name][1], peak)
        print(f"round {turn} of {rounds}", file=sys.stderr)
    return best


def floor_share(name: str, rate: float) -> str:
    """Share of the arithmetic floor of an H200 in percent, for relstats in exact float32 and
    mixed.
    """
    work = next((GFLOP[composite] for composite in COMPOSITES if composite in name), None)
    if work is None or "relstats" not in name or "TF32" in name:
        return ""
    forward_part = 30.9
    slow = forward_part if "mixed" in name else work
    return f"{100 * rate * (slow / H200_FP32 + (work - slow) / H200_BF16):.0f}"


def table(best: dict[str, tuple[float, float]], batch: int, device: torch.device) -> list[str]:
    """The results as lines of markdown."""
    base = best["forward + input gradient"][0]
    lines = [
        "| method | images/s | x forward + input gradient | x faster than zennit | peak GB | % of"
        " floor |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for name, (took, peak) in best.items():
        other = best.get(name.replace("relstats", "zennit").removesuffix(", mixed"))
        faster = f"{other[0] / took:.2f}" if other and name.startswith("relstats") else ""
        memory, share = (
            (f"{peak:.1f}", floor_share(name, batch / took)) if device.type == "cuda" else ("", "")
        )
        lines.append(
            f"| {name} | {batch / took:.2f} | {took / base:.2f} | {faster} | {memory} | {share} |"
        )
    return lines


def machine(device: torch.device) -> str:
    """Name what ran: processor or GPU, threads, versions."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    with open("/proc/cpuinfo") as lines:
        names = {line.split(":")[1].strip() for line in lines if line.startswith("model name")}
    name = next(iter(names), platform.processor())
    return (
        f"{name} ({platform.machine()}), {torch.get_num_threads()} threads, torch"
        f" {torch.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = models.vgg16().eval().requires_grad_(False).to(device)
    images = torch.randn(options.batch, 3, 224, 224, device=device)
    classes = torch.arange(options.batch, device=device)
    rows = methods(network, images, classes)
    if other := captum(models.vgg16().eval().to(device), images, classes):
        rows["captum A1B0 + Epsilon"] = other
    best = measure(rows, options.rounds, device)
    print(f"# LRP of VGG-16 at 224 px, batch {options.batch}, exact float32\n\n{machine(device)}\n")
    print("\n".join(table(best, options.batch, device)))


if __name__ == "__main__":
    main()
