"""MobileNet-V1 with BatchNorm folded, written out layer by layer.

Its ready-made weights are read by `finetune.py`.

Howard et al. (2017, arXiv 1704.04861).
"""

from __future__ import annotations

import torch
from torch import nn

#: Input channels, output channels and stride of the 13 depthwise separable blocks.
BLOCKS = (
    *((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2)),
    *((512, 512, 1),) * 5,
    *((512, 1024, 2), (1024, 1024, 1)),
)
FEATURES = 1024


def convolution(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1
) -> list[nn.Module]:
    """Return padding as TensorFlow's 'SAME' (right and bottom only at stride 2), a convolution and
    ReLU6.
    """
    margins = (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1)
    padding = [nn.ZeroPad2d(margins)] if kernel == 3 else []
    return [*padding, nn.Conv2d(inputs, outputs, kernel, stride, groups=groups), nn.ReLU6()]


def separable(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """Return one block: a depthwise 3 x 3 convolution, then a pointwise one."""
    return [
        *convolution(inputs, inputs, 3, stride, groups=inputs),
        *convolution(inputs, outputs, 1, 1),
    ]


class MobileNet(nn.Module):
    """MobileNet-V1 of width 1 with a linear head."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        layers = convolution(3, 32, 3, 2)
        for inputs, outputs, stride in BLOCKS:
            layers += separable(inputs, outputs, stride)
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(FEATURES, n_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (image, class), of images, shape (image, channel, y, x)."""
        return self.head(self.flatten(self.pool(self.features(images))))
