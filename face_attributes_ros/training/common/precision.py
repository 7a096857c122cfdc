# SPDX-License-Identifier: Apache-2.0
"""Which arithmetic pays on a device."""

import torch


def bf16_is_native(device: torch.device) -> bool:
    """Whether bfloat16 is computed by the hardware (GPUs, newer server CPUs); elsewhere it is
    emulated, ten times slower."""
    return device.type == 'cuda' or torch.ops.mkldnn._is_mkldnn_bf16_supported()
