# SPDX-License-Identifier: Apache-2.0
"""Does a calibration hold on pictures of another kind? Fitted on one source, judged on the other.

    python -m face_attributes_ros.training.attributes.transfer --model attributes_m --data DIR \\
        --out bench/results/attributes_transfer.json

Val only. The shipped offset and temperatures are taken out of the network's answers first, so
that every row starts from the same network.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.training.attributes.calibration import (
    age_offset,
    calibration_error,
    confidence_and_hit,
    coverage,
    fit_age_temperature,
    fit_temperature,
    missed_years,
    selective_threshold,
    shifted,
    with_temperature,
)
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import read_pack
from face_attributes_ros.training.attributes.data.tables import LabelTable, table_of
from face_attributes_ros.training.attributes.predict import predict
from face_attributes_ros.training.attributes.torch_file import calibration_of

AGE_SOURCES = ('utkface', 'fairface')


def uncalibrated(outputs: dict[str, np.ndarray], temperatures: dict[str, float],
                 offsets: dict[str, list[float]]) -> dict[str, np.ndarray]:
    """Ages and genders as the network gave them before its calibration."""
    age = with_temperature(outputs['age'], 1 / temperatures.get('age', 1.0))
    age = shifted(age, -np.array(offsets.get('age', np.zeros(age.shape[1]))))
    gender = with_temperature(outputs['gender'], 1 / temperatures.get('gender', 1.0))
    return {'age': age, 'gender': gender}


def age_row(probs: np.ndarray, table: LabelTable, fitted: np.ndarray,
            judged: np.ndarray) -> dict[str, float]:
    """Years missed, their lean and the interval's coverage on `judged` rows, fitted on others."""
    low, high = table.labels['age_low'], table.labels['age_high']
    offset = age_offset(probs[fitted], low[fitted], high[fitted], table.sources[fitted])
    moved = shifted(probs, offset)
    temperature = fit_age_temperature(moved[fitted], low[fitted], high[fitted],
                                      table.sources[fitted])
    answers = with_temperature(moved[judged], temperature)
    years = answers @ np.arange(answers.shape[1])
    missed = missed_years(years, low[judged], high[judged])
    return {'tilt': offset[1] - offset[0], 'temperature': temperature,
            'missed_years': np.abs(missed).mean(), 'lean_years': missed.mean(),
            'coverage': coverage(answers, low[judged], high[judged])}


def gender_row(probs: np.ndarray, female: np.ndarray, fitted: np.ndarray,
               judged: np.ndarray) -> dict[str, float]:
    """ECE, and accuracy and share of the answers above the threshold, on `judged` rows."""
    temperature = fit_temperature(probs[fitted], female[fitted])
    threshold = selective_threshold(*confidence_and_hit(
        with_temperature(probs[fitted], temperature), female[fitted]))
    confidence, hit = confidence_and_hit(with_temperature(probs[judged], temperature),
                                         female[judged])
    sure = confidence >= threshold
    return {'temperature': temperature, 'ece': calibration_error(confidence, hit),
            'threshold': threshold, 'answered': sure.mean(),
            'selective_accuracy': hit[sure].mean()}


def transfer(outputs: dict[str, np.ndarray], table: LabelTable) -> dict[str, dict]:
    """{'age' or 'gender': {'fitted on -> judged on': figures}}."""
    rows = {source: table.rows_of(source) for source in AGE_SOURCES}
    rows['both'] = np.concatenate(list(rows.values()))
    found: dict[str, dict[str, dict[str, float]]] = {'age': {}, 'gender': {}}
    for fitted in rows:
        for judged in AGE_SOURCES:
            name = f'{fitted} -> {judged}'
            found['age'][name] = age_row(outputs['age'], table, rows[fitted], rows[judged])
            found['gender'][name] = gender_row(outputs['gender'], table.labels['p_female'],
                                               rows[fitted], rows[judged])
    return found


def measured(model_name: str, data: Path) -> dict[str, dict]:
    """`transfer` of a shipped network on the val split of a data folder."""
    model = find_model(model_name, 'attributes')
    table = table_of(read_pack(data, ('val',), AGE_SOURCES))
    network = open_network(model.path, backend='onnxruntime', device='cpu', threads=1)
    pictures = [read_picture(image) for image in table.images]
    outputs = predict(network, pictures, model.input_px)
    return transfer(uncalibrated(outputs, *calibration_of(model.path)), table)


def main(arguments: list[str] | None = None) -> int:
    """Writes the JSON file; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='attributes_m')
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args(arguments)
    found = measured(args.model, args.data)
    text = json.dumps(found, indent=1, default=lambda value: round(float(value), 4))
    args.out.write_text(text + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
