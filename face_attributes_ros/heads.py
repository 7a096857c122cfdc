# SPDX-License-Identifier: Apache-2.0
"""What an attribute network may give."""

from __future__ import annotations

from face_attributes_ros.faces import EXPRESSIONS

HEADS: dict[str, tuple[int, ...]] = {
    'age': (101, ), 'gender': (), 'expression': (len(EXPRESSIONS), ), 'smile': (), 'pose': (3, ),
    'landmarks': (68, 2), 'face': (), 'quality': ()
}
"""The shape of one row of each head."""
