# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('safetensors')

from face_attributes_ros.training.common import checkpoint
from face_attributes_ros.training.common.checkpoint import load_tensors, save_tensors


def test_a_kill_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / 'last.safetensors'
    save_tensors(path, {'a': torch.ones(2)}, {'step': 1})

    def half_written(tensors, name, metadata):
        Path(name).write_bytes(b'half')
        # Not a real SIGINT: OpenVINO, once unloaded, leaves this thread a signal stack that is
        # gone.
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, 'save_file', half_written)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(path, {'a': torch.zeros(2)}, {'step': 2})
    tensors, metadata = load_tensors(path)
    assert tensors['a'].tolist() == [1, 1] and metadata == {'step': 1}
