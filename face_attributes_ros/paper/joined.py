# SPDX-License-Identifier: Apache-2.0
"""Several networks that look at the same crop, as one."""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn


class Joined(nn.Module):
    """uint8 (B, S, S, 3) BGR crops to a tuple of the named outputs of all modules; each gives a
    dict of them."""

    def __init__(self, modules: Iterable[nn.Module], outputs: Sequence[str]):
        super().__init__()
        self.parts, self.outputs = nn.ModuleList(modules), tuple(outputs)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        given = {name: value for part in self.parts for name, value in part(image).items()}
        return tuple(given[name] for name in self.outputs)
