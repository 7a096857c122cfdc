# SPDX-License-Identifier: Apache-2.0
"""Readers of public face sets in the folders they are handed out in: `READERS[name](folder,
split)` gives samples.

`split` is 'train', 'val' or 'test' where the set has lists of its own; other sets give everything
for 'train' and nothing else, so make your own subject-disjoint split of those. Terms of use are
the sets' own: most allow research only.
"""

from __future__ import annotations

from face_attributes_ros.training.attributes.data import readers_expression as expression
from face_attributes_ros.training.attributes.data import readers_people as people
from face_attributes_ros.training.attributes.data import readers_pose as pose

READERS = {
    'utkface': people.read_utkface, 'fairface': people.read_fairface, 'celeba': people.read_celeba,
    'adience': people.read_adience, 'imdb_wiki': people.read_imdb_wiki, 'morph': people.read_morph,
    'ferplus': expression.read_ferplus, 'fer2013': expression.read_fer2013,
    'jaffe': expression.read_jaffe, 'genki4k': pose.read_genki, '300w_lp': pose.read_300w_lp,
    'aflw': pose.read_aflw
}
