"""Which modules and functions a network may consist of, and how relevance goes back through each.

What a kind means is in `relstats.compute.lrp.graph.Step`.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

MODULES: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.Linear: "linear",
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    **dict.fromkeys((nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.Tanh, nn.Sigmoid), "pass"),
    **dict.fromkeys(
        (nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.Unflatten, nn.ZeroPad2d), "gradient"
    ),
    **dict.fromkeys((nn.AvgPool2d, nn.AdaptiveAvgPool2d), "average"),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d), "norm"),
    **dict.fromkeys(
        (nn.Identity, nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout), "same"
    ),
}

RESHAPES = ("view", "reshape", torch.reshape, "flatten", torch.flatten, "squeeze", torch.squeeze)

FUNCTIONS: dict[Any, str] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, "relu", "relu_"), "relu"),
    F.relu6: "relu6",
    **dict.fromkeys(
        (F.leaky_relu, F.elu, torch.tanh, F.tanh, torch.sigmoid, F.sigmoid, "tanh", "sigmoid"),
        "pass",
    ),
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d, F.adaptive_max_pool2d), "gradient"),
    **dict.fromkeys(("permute", "transpose", torch.permute, torch.transpose), "gradient"),
    **dict.fromkeys(RESHAPES, "gradient"),
    **dict.fromkeys((F.avg_pool2d, F.adaptive_avg_pool2d), "average"),
    **dict.fromkeys((torch.mean, "mean"), "mean"),
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), "sum"),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), "cat"),
    **dict.fromkeys((F.dropout, F.dropout2d, F.alpha_dropout), "dropout"),
    F.pad: "pad",
    "contiguous": "same",
}

SIGN_KEEPERS = (nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.Tanh)

# zennit has rules for these, or they need none; this engine does not walk them.
ZENNIT_ONLY = (
    *(
        nn.Conv1d,
        nn.Conv3d,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
        nn.Hardtanh,
        nn.PReLU,
    ),
    *(
        nn.MaxPool1d,
        nn.MaxPool3d,
        nn.AvgPool1d,
        nn.AvgPool3d,
        nn.AdaptiveAvgPool1d,
        nn.AdaptiveAvgPool3d,
    ),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool3d, nn.BatchNorm3d, nn.Dropout1d, nn.Dropout3d),
    *(nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d),
)
