# SPDX-License-Identifier: Apache-2.0
"""Everything this package raises on bad input.

    FaceAttributesError
    |-- ImageError          an image or image message that cannot be read
    |-- ParameterError      a setting of the wrong type or out of range
    |-- OutputError         a file, folder or stream that cannot be written
    |-- DataError           training or evaluation data, or a bag, that is missing or malformed
    `-- ModelError          weights or manifest that are missing, damaged or of the wrong shape
        `-- DeviceError     a device, runtime or precision that this machine does not have
            `-- DeviceLostError   a device that was there and is gone
"""


class FaceAttributesError(Exception):
    """Any error of this package; its message names the thing, the value got and the value
    needed."""


class ImageError(FaceAttributesError):
    """An image that cannot be read: encoding, size, step or data."""


class ParameterError(FaceAttributesError):
    """A setting of the wrong type or out of range."""


class OutputError(FaceAttributesError):
    """A file, folder or stream that cannot be written."""


class DataError(FaceAttributesError):
    """Training or evaluation data, or a bag, that is missing or malformed."""


class ModelError(FaceAttributesError):
    """Weights or a manifest that are missing, damaged or of the wrong shape."""


class DeviceError(ModelError):
    """A device, runtime or precision that this machine does not have."""


class DeviceLostError(DeviceError):
    """A device that was there and is gone; this process cannot use it any more."""
