# SPDX-License-Identifier: Apache-2.0
"""Faces in a camera image: where each one is, apparent age, gender presentation, expression, smile
and head pose.

    import cv2, face_attributes_ros as fa
    analyzer = fa.Analyzer()
    tracks = analyzer(cv2.imread('people.jpg'))
"""

import os
from importlib import import_module
from pkgutil import extend_path

# The generated messages (face_attributes_ros.msg) are installed, never in the source tree: let
# this package span both when it is imported from a checkout.
__path__ = extend_path(__path__, __name__)

# ONNX Runtime looks up its makers' host and writes to ~/.cache while it is imported, unless this
# is set before; whatever of ours is imported, this file is first.
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')

_HOMES = {
    'Analyzer': 'analyze',
    'Attributes': 'faces',
    'AttributeEstimator': 'estimator',
    'DataError': 'errors',
    'DeviceError': 'errors',
    'EXPRESSIONS': 'faces',
    'Face': 'faces',
    'FaceAttributesError': 'errors',
    'FaceDetector': 'detector',
    'GENDERS': 'faces',
    'ImageError': 'errors',
    'ModelError': 'errors',
    'ParameterError': 'errors',
    'Pipeline': 'pipeline',
    'Settings': 'settings',
    'Track': 'faces',
    'annotate': 'drawing',
    'build_pipeline': 'build',
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    """Imports a public name's module when it is first asked for: ROS tools that want only messages
    pay nothing."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
