# SPDX-License-Identifier: Apache-2.0
"""Make the int8 file of a shipped network, measure what it costs, and put it into the manifest if
that is little enough.

    face-attributes export int8 --model detector_tiny --data DETECTION_DIR --manifest
    models/manifest.toml face-attributes export int8 --model attributes_m --data ATTRIBUTES_DIR
    --manifest models/manifest.toml

DIR is what the network was trained and evaluated on. Ranges come from a few hundred training
pictures, seeded. Candidates keep fewer and fewer layers in int8; the first one that loses less
than half the bars of `int8_scores` on val, on every runtime that is installed, is taken and
measured once on test. The file stands beside the float one as NAME_int8.onnx; its figures go to
bench/results/int8.json and, if test keeps the bars as well, into the manifest. `--force` writes it
there all the same.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import file_sha256, load_manifest, tomllib
from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.markdown import grid
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import read_pack
from face_attributes_ros.training.attributes.data.tables import table_of
from face_attributes_ros.training.attributes.export import note, write
from face_attributes_ros.training.attributes.predict import whole_crops
from face_attributes_ros.training.common.manifest_table import put_table
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.export import store_half
from face_attributes_ros.training.int8.centre import centre
from face_attributes_ros.training.int8.graph import (
    activation_ranges,
    convolutions,
    quantise,
    whole,
)
from face_attributes_ros.training.int8.scores import (
    SHARE_ON_VAL,
    attribute_figures,
    cpu_ms,
    detector_figures,
    failures,
)

RUNTIMES = ('onnxruntime', 'openvino')
SPEED_SHAPES = {'detector': ((1, 256, 448), (1, 448, 448)), 'attributes': ((1,), (4,), (16,))}
_CROPS_A_BATCH = 32


def add_arguments(parser):
    """The command line of `export int8`."""
    parser.add_argument('--model', required=True,
                        help='a detector or attribute network of the manifest')
    parser.add_argument('--data', type=Path, required=True,
                        help='YOLO-format folder, or folder of labels.csv and its zips')
    parser.add_argument('--manifest', type=Path, default=Path('models/manifest.toml'))
    parser.add_argument('--images', type=int, default=400, help='training pictures for the ranges')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path, default=Path('bench/results/int8.json'))
    parser.add_argument('--force', action='store_true',
                        help='into the manifest even where it loses too much')


def run(args):
    """Quantises, chooses on val, measures on test, prints the table; exit status 1 where nothing
    keeps the bars."""
    model = find(args)
    room = (DetectorRoom if model.task == 'detector' else AttributesRoom)(model, args.data)
    out = model.path.with_name(f'{model.path.stem}_int8.onnx')
    tried, chosen = choose(model, room, out, args)
    print(json.dumps(tried))
    result = {
        'made_from': model.sha256, 'images': args.images, 'seed': args.seed, 'tried_on_val': tried,
        'chosen': chosen
    }
    result |= measure(model, room, out) | {'speed_cpu_ms': speed(model, out)}
    print(table(result))
    put_json(args.json, model.name, result)
    passed = bool(chosen) and not any(row['failures'] for row in result['runtimes'].values())
    if passed or args.force:
        put_int8(args.manifest, model, out, result)
    else:
        out.unlink()
        print(f'{out} is not kept: it loses too much; --force keeps it')
    return 0 if passed else 1


def find(args):
    """The manifest's entry, its float file checked and an int8 file, which is about to be made
    anew, taken out of it."""
    values = entry(args.manifest, args.model)
    kept = {key: value for key, value in values.items() if not key.startswith('int8_')}
    if kept != values:
        put_table(args.manifest, args.model, kept)
    return load_manifest(args.manifest)[args.model].checked()


def entry(manifest, name):
    """The table of a model as it stands in the manifest."""
    try:
        return tomllib.loads(Path(manifest).read_text(encoding='utf-8'))['models'][name]
    except (OSError, KeyError) as error:
        raise ModelError(f'model {name!r} is not in {manifest}') from error


class DetectorRoom:
    """Pictures, figures and candidates of a detector."""

    def __init__(self, model, data):
        self.model, self.data = model, data

    def batches(self, count, seed):
        """Letterboxed training pictures as the detector sees them, one a batch."""
        samples, found = read_samples(self.data, 'train'), []

        def remember(batch):
            found.append(batch.copy())
            return [np.zeros((len(batch), 0, 5), np.float32)]

        detector = FaceDetector(remember, imgsz_px=self.model.input_px)
        for sample in _some(samples, count, seed):
            detector(sample.image())
        return found

    def figures(self, network, split):
        """Every figure of a network on a split."""
        return detector_figures(network, read_samples(self.data, split), self.model.input_px)


class AttributesRoom:
    """The same of an attribute network."""

    def __init__(self, model, data):
        self.model, self.data, self._read = model, data, {}

    def batches(self, count, seed):
        """Training crops, the sources mixed in equal shares."""
        samples, by_source = read_pack(self.data, ('train',)), {}
        for sample in samples:
            by_source.setdefault(sample.source, []).append(sample)
        each = -(-count // max(1, len(by_source)))
        some = [sample for group in by_source.values() for sample in _some(group, each, seed)]
        crops = whole_crops(
            [read_picture(sample.image) for sample in _some(some, len(some), seed)],
            self.model.input_px)
        return [
            crops[start:start + _CROPS_A_BATCH] for start in range(0, len(crops), _CROPS_A_BATCH)
        ]

    def figures(self, network, split):
        """Every figure of a network on a split; test has JAFFE, too."""
        if split not in self._read:
            labelled = table_of(
                read_pack(self.data, ('test', 'crossval') if split == 'test' else (split, )))
            self._read[split] = labelled, [read_picture(image) for image in labelled.images]
        labelled, pictures = self._read[split]
        return attribute_figures(network, pictures, labelled, self.model)


def _some(items, count, seed):
    if not items:
        raise DataError('the training split is empty: nothing to calibrate on')
    order = np.random.default_rng(seed).permutation(len(items))[:count]
    return [items[index] for index in order]


def candidates(model):
    """{name: convolutions that stay in float}, from all in int8 to fewer."""
    names = [node.name for node in convolutions(model)]
    last = [node.name for node in convolutions(model) if not _leads_to_conv(model, node)]
    return {
        'all': (), 'first float': names[:1], 'last float': last,
        'first and last float': [*names[:1], *last],
        'first quarter float': names[:len(names) // 4], 'first half float': names[:len(names) // 2]
    }


def _leads_to_conv(model, node):
    reached = set(node.output)
    for other in model.graph.node:
        if other.op_type != 'Conv' and reached & set(other.input):
            reached.update(other.output)
    return any(other.input[0] in reached for other in convolutions(model))


def opened(path, precision, backend):
    """The file on a runtime, one thread."""
    return open_network(path, int8_path=path, backend=backend, device='cpu', precision=precision,
                        threads=1)


def installed():
    """Runtimes that are there."""
    return [backend for backend in RUNTIMES if find_spec(backend)]


def choose(model, room, out, args):
    """({candidate: its drops too large on val, by runtime}, the first candidate without any or
    None); writes `out`."""
    import onnx

    source = whole(onnx.load(str(model.path)))
    batches = room.batches(args.images, args.seed)
    ranges, tried = activation_ranges(source, batches), {}
    floats = room.figures(opened(model.path, 'fp32', 'onnxruntime'), 'val')
    for name, kept in candidates(source).items():
        quantised = centre(quantise(source, ranges, batches[0], kept), source, batches)
        store_half(
            quantised, {
                tensor for node in quantised.graph.node
                if node.op_type in ('Conv', 'Gemm', 'MatMul') for tensor in node.input[1:2]
            })
        note(
            quantised, {
                'int8_made_from': model.sha256, 'images': args.images, 'seed': args.seed,
                'floats': list(kept)
            })
        write(out, quantised.SerializeToString())
        tried[name] = {}
        for backend in installed():
            figures = room.figures(opened(out, 'int8', backend), 'val')
            tried[name][backend] = {
                key: round(figures[key] - floats[key], 5)
                for key in failures(floats, figures, SHARE_ON_VAL)
            }
        print(f'{name}: {tried[name]}', flush=True)
        if not any(tried[name].values()):
            return tried, name
    return tried, None


def measure(model, room, out):
    """Figures of float and int8 on test, and by runtime what dropped too much."""
    floats = room.figures(opened(model.path, 'fp32', 'onnxruntime'), 'test')
    runtimes = {}
    for backend in installed():
        found = room.figures(opened(out, 'int8', backend), 'test')
        runtimes[backend] = {'figures': _rounded(found), 'failures': failures(floats, found)}
    return {'fp32': _rounded(floats), 'runtimes': runtimes}


def _rounded(figures):
    return {name: round(value, 5) for name, value in figures.items()}


def speed(model, out):
    """{runtime precision: {batch shape: CPU ms at one thread}} of float and int8, taking turns."""
    networks = {
        f'{backend} {precision}': opened(path, precision, backend)
        for backend in installed()
        for precision, path in (('fp32', model.path), ('int8', out))
    }
    side, found = (model.input_px, model.input_px), {name: {} for name in networks}
    for shape in SPEED_SHAPES[model.task]:
        full = (*(shape if model.task == 'detector' else (*shape, *side)), 3)
        for name, spent in cpu_ms(networks, full).items():
            found[name]['x'.join(map(str, full[:-1]))] = spent
    return found


def table(result):
    """Float and int8 on test, and the speed, as Markdown."""
    rows = [[
        name, f'{value:.4f}',
        *(f'{row["figures"][name]:.4f} ({row["figures"][name] - value:+.4f})' +
          (' too much' if name in row['failures'] else '') for row in result['runtimes'].values())
    ] for name, value in result['fp32'].items()]
    quality = grid(['test', 'fp32', *(f'int8 {backend}' for backend in result['runtimes'])], rows)
    shapes = list(next(iter(result['speed_cpu_ms'].values())))
    times = [[name, *(f'{spent[shape]:.2f}'
                      for shape in shapes)]
             for name, spent in result['speed_cpu_ms'].items()]
    return quality + '\n' + grid(['CPU ms, one thread', *shapes], times)


def put_json(path, name, result):
    """Replaces one model's part of the results file."""
    results = json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, (json.dumps(results | {name: result}, indent=1) + '\n').encode())


def put_int8(manifest, model, out, result):
    """Names the file in the manifest's entry, with its checksum and figures."""
    values = entry(manifest, model.name)
    figures = result['runtimes']['onnxruntime']['figures']
    put_table(
        manifest, model.name, values | {
            'int8_file': out.name, 'int8_sha256': file_sha256(out), 'int8_made_from': model.sha256,
            'int8_metrics': figures
        })
