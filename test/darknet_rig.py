# SPDX-License-Identifier: Apache-2.0
"""Small Darknet networks, written as files, and what they say by plain numpy."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

ANCHORS = [(4, 6), (9, 12), (15, 14), (22, 30), (31, 24), (50, 44)]


def conv(filters, size=3, stride=1, norm=True, activation='leaky'):
    options = {'batch_normalize': 1} if norm else {}
    return 'convolutional', options | {'filters': filters, 'size': size, 'stride': stride,
                                       'pad': 1, 'activation': activation}


def pool(size, stride):
    return 'maxpool', {'size': size, 'stride': stride}


def yolo(mask, classes):
    return 'yolo', {'mask': ','.join(map(str, mask)), 'classes': classes, 'num': len(ANCHORS),
                    'anchors': ', '.join(f'{w},{h}' for w, h in ANCHORS), 'jitter': .3,
                    'ignore_thresh': .7, 'truth_thresh': 1, 'random': 1}


def tiny(classes=1):
    """Every kind of layer that YOLOv3-tiny has, two levels (16, 8)."""
    outputs = 3 * (5 + classes)
    return [conv(4), pool(2, 2), conv(6), pool(2, 2), conv(6), pool(2, 2), conv(8), pool(2, 2),
            conv(8), pool(2, 1), conv(6, 1), conv(outputs, 1, norm=False, activation='linear'),
            yolo((3, 4, 5), classes), ('route', {'layers': -3}), conv(4, 1),
            ('upsample', {'stride': 2}), ('route', {'layers': '-1, 6'}), conv(8),
            conv(outputs, 1, norm=False, activation='linear'), yolo((0, 1, 2), classes)]


def residual(classes=1):
    """Darknet-53's parts: strided convolutions, 1x1 and 3x3 with a shortcut; and SPP's pooling."""
    outputs = 3 * (5 + classes)
    block = [conv(4, 1), conv(8), ('shortcut', {'from': -3, 'activation': 'linear'})]
    return [conv(4), conv(8, stride=2), *block, *block, conv(8, stride=2), conv(8, stride=2),
            pool(5, 1), ('route', {'layers': -2}), pool(3, 1), ('route', {'layers': '-1,-3,-4'}),
            conv(outputs, 1, norm=False, activation='linear'), yolo((1, 3, 5), classes)]


def write(path, layers, seed=0, width=64, height=32, version=(0, 2, 0), names=None):
    """NAME.cfg and NAME.weights (and NAME.names); returns the numbers of each convolution, as
    the file has them."""
    lines = ['# written by a test', '[net]', 'batch=64', f'width={width}', f'height = {height}',
             'channels=3', 'momentum=0.9 ; of training', '']
    for kind, options in layers:
        lines += [f'[{kind}]', *(f'{key}={value}' for key, value in options.items()), '']
    path.with_suffix('.cfg').write_text('\n'.join(lines))
    numbers = list(random_numbers(layers, seed))
    seen = np.array([77], '<u8' if version[0] * 10 + version[1] >= 2 else '<u4')
    body = [array.astype('<f4').tobytes() for each in numbers for array in each.values()]
    path.with_suffix('.weights').write_bytes(
        np.array(version, '<i4').tobytes() + seen.tobytes() + b''.join(body))
    if names:
        path.with_suffix('.names').write_text('\n'.join(names) + '\n')
    return numbers


def random_numbers(layers, seed):
    """Bias, then gain, mean and variance where there is a batch norm, then the kernels."""
    rng, channels = np.random.default_rng(seed), [3]
    for number, (kind, options) in enumerate(layers):
        outputs = channels[-1]
        if kind == 'convolutional':
            outputs = options['filters']
            found = {'bias': rng.normal(0, .3, outputs)}
            if 'batch_normalize' in options:
                found |= {'gain': rng.uniform(.5, 1.5, outputs),
                          'mean': rng.normal(0, .2, outputs),
                          'variance': rng.uniform(.3, 2., outputs)}
            shape = outputs, channels[-1], options['size'], options['size']
            yield found | {'kernel': rng.normal(0, 1, shape) / np.sqrt(np.prod(shape[1:]))}
        elif kind == 'route':
            outputs = sum(channels[at + 1] for at in sources(options['layers'], number))
        channels.append(outputs)


def sources(layers, number):
    return [number + int(one) if int(one) < 0 else int(one) for one in str(layers).split(',')]


def said(layers, numbers, bgr):
    """Rows x0 y0 x1 y1 and a score a class of one picture (H, W, 3) uint8, by the papers'
    formulas, in the order level, anchor, row, column."""
    maps, rows, numbers = [], [], iter(numbers)
    x = bgr[..., ::-1].transpose(2, 0, 1) / 255
    for number, (kind, options) in enumerate(layers):
        if kind == 'convolutional':
            x = convolved(x, next(numbers), options)
        elif kind == 'maxpool':
            x = pooled(x, options['size'], options['stride'])
        elif kind == 'upsample':
            x = x.repeat(2, 1).repeat(2, 2)
        elif kind == 'route':
            x = np.concatenate([maps[at] for at in sources(options['layers'], number)])
        elif kind == 'shortcut':
            x = x + maps[number + options['from']]
        else:
            rows += boxes(x, options, bgr.shape[0] // x.shape[1])
        maps.append(x)
    return np.array(rows)


def convolved(x, given, options):
    pad, stride = options['size'] // 2, options['stride']
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = sliding_window_view(padded, (options['size'],) * 2, (1, 2))[:, ::stride, ::stride]
    y = np.einsum('chwij,ocij->ohw', windows, given['kernel'])
    column = {name: values[:, None, None] for name, values in given.items() if name != 'kernel'}
    if 'batch_normalize' in options:
        y = (y - column['mean']) / (np.sqrt(column['variance']) + 1e-6) * column['gain']
    y = y + column['bias']
    return np.where(y > 0, y, .1 * y) if options['activation'] == 'leaky' else y


def pooled(x, size, stride):
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    padded = np.pad(x, ((0, 0), (before, after), (before, after)), constant_values=-np.inf)
    return sliding_window_view(padded, (size, size), (1, 2))[:, ::stride, ::stride].max((3, 4))


def boxes(x, options, stride):
    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    for number, index in enumerate(map(int, options['mask'].split(','))):
        own = x.reshape(3, -1, *x.shape[1:])[number]
        for row in range(x.shape[1]):
            for column in range(x.shape[2]):
                tx, ty, tw, th, objectness, *classes = own[:, row, column]
                cx, cy = (sigmoid(tx) + column) * stride, (sigmoid(ty) + row) * stride
                w, h = (side * np.exp(t) for side, t in zip(ANCHORS[index], (tw, th)))
                yield [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2,
                       *(sigmoid(objectness) * sigmoid(one) for one in classes)]
