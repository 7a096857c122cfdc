# SPDX-License-Identifier: Apache-2.0
"""docs/licences.md from the CycloneDX list of what is installed (`make sbom` makes both).

    python -m tools.licences build/sbom.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path('docs/licences.md')
HEAD = '''# Licences of what is installed

Made by `make sbom` with cyclonedx-bom from the environment of `make venv`, which holds what
training, benchmarks and tests need besides. The full list, with package URLs, is `build/sbom.json`
(CycloneDX 1.6). Licences are what the packages declare. Weights and data have terms of their own:
[model card](../models/README.md).

| Package | Version | Licence |
|---|---|---|
'''


def licence(component: Mapping[str, Any]) -> str:
    """What a component declares: an SPDX expression, identifiers, or the words it has."""
    said = []
    for each in component.get('licenses', ()):
        one = each.get('license', {})
        words = each.get('expression') or one.get('id') or one.get('name') or ''
        said.append(words.removeprefix('License :: OSI Approved :: ').splitlines()[0][:80])
    return ', '.join(sorted(set(filter(None, said)))) or 'none declared'


def page(bill: Mapping[str, Any]) -> str:
    """The page for a CycloneDX document."""
    rows = sorted((each['name'].lower(), each.get('version', ''), licence(each))
                  for each in bill['components'])
    return HEAD + '\n'.join(f'| {name} | {version} | {words} |'
                            for name, version, words in rows) + '\n'


def main() -> None:
    """Writes the page."""
    bill = json.loads(Path(sys.argv[1]).read_text(encoding='utf-8'))
    PAGE.write_text(page(bill), encoding='utf-8')


if __name__ == '__main__':
    main()
