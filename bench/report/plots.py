# SPDX-License-Identifier: Apache-2.0
"""Plots of bench/results/speed.json: time by faces, time by stage, ratios."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.report.figures import Report

STAGES = ('decode', 'letterbox', 'detect', 'nms', 'track', 'crop', 'attributes', 'records',
          'publish', 'other')


def draw(report: Report, folder: Path) -> None:
    """Writes speed_faces.png, speed_stages.png and speed_ratios.png, each where its part was
    measured."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    plots = {'speed_faces': by_faces, 'speed_stages': by_stage, 'speed_ratios': by_ratio}
    if 'frames' in report.get('pipeline', {}):
        for name, plot in plots.items():
            figure = plot(plt, report)
            figure.tight_layout()
            figure.savefig(folder / f'{name}.png', dpi=110)
            plt.close(figure)


def rows(report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of the one-thread pipeline with the usual detector: (faces, {contender: figures})."""
    for key, row in report['pipeline']['frames'].items():
        if found := re.fullmatch(r'720p_(\d+)faces_1t', key):
            yield int(found[1]), row


def by_faces(plt: Any, report: Report) -> Any:
    """Left the pipeline and its peers, right the node over DDS."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5))
    faces, all_rows = zip(*rows(report))
    for name in all_rows[0]:
        values = [[row[name][key] for row in all_rows] for key in ('median', 'low', 'high')]
        line, = left.plot(faces, values[0], marker='o', label=name.replace('_', ' '))
        left.fill_between(faces, values[1], values[2], alpha=.2, color=line.get_color())
    _axes(left, faces, 'CPU ms a frame, one thread', 'Pipeline and peers, 720p')
    for backend, runtime in report.get('node', {}).get('runtimes', {}).items():
        for height in (480, 720, 1080):
            streams = [(count, runtime['streams'].get(f'{height}p_{count}faces_30Hz', {}))
                       for count in faces]
            points = [(count, row['P50_LATENCY'], row['P95_LATENCY'])
                      for count, row in streams
                      if 'P50_LATENCY' in row]
            if len(points) > 1:
                x, p50, p95 = zip(*points)
                line, = right.plot(x, p50, marker='o', label=f'{height}p {backend}')
                right.fill_between(x, p50, p95, alpha=.15, color=line.get_color())
    _axes(right, faces, 'ms from image stamp to result (p50 to p95)', 'Node over DDS, 30 Hz')
    return figure


def _axes(axes: Any, faces: Sequence[int], label: str, title: str) -> None:
    axes.set(xlabel='faces in the frame', ylabel=label, title=title, ylim=(0, None), xscale='log')
    axes.set_xticks(faces, labels=list(map(str, faces)))
    axes.minorticks_off()
    axes.grid(alpha=.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def by_stage(plt: Any, report: Report) -> Any:
    """CPU milliseconds by stage, as bars one on the other; the right-hand bars leave the networks
    out."""
    bars = [(f'{name.replace("_", " ")}, {key.split("_")[1].removesuffix("faces")} faces', stages)
            for key, runtimes in report['pipeline']['stages'].items() if key.endswith('_1t')
            for name, stages in runtimes.items()]
    figure, axes = plt.subplots(1, 2, figsize=(13, .4 * len(bars) + 2.2), sharey=True)
    for panel, left_out in zip(axes, ((), ('detect', 'attributes'))):
        start = [0.] * len(bars)
        for number, stage in enumerate(STAGES):
            if stage not in left_out:
                values = [stages.get(stage, 0.) for _, stages in bars]
                panel.barh([name for name, _ in bars], values, left=start, label=stage,
                           color=f'C{number}')
                start = [a + b for a, b in zip(start, values)]
        for number, total in enumerate(start):
            panel.text(total, number, f' {total:.1f}', va='center', fontsize=8)
        panel.set(xlabel='CPU ms a frame, one thread',
                  title='what is not a network' if left_out else 'time by stage, 720p',
                  xlim=(0, 1.12 * max(start)))
        panel.grid(alpha=.3, axis='x')
    axes[0].invert_yaxis()
    axes[0].legend(fontsize=8, ncols=2)
    return figure


def by_ratio(plt: Any, report: Report) -> Any:
    """How many times a peer's time ours is, for each number of faces."""
    four_faces = re.compile(
        r'(naive|strong|yunet_faceapi)_(onnxruntime|openvino)_\w+?_720p_4faces_1t')
    names = sorted(key.removesuffix('_720p_4faces_1t')
                   for key in report['ratios'] if four_faces.fullmatch(key))
    figure, axes = plt.subplots(figsize=(8, .45 * len(names) + 2))
    faces = [count for count, _ in rows(report)]
    for number, count in enumerate(faces):
        values = [report['ratios'].get(f'{name}_720p_{count}faces_1t', 0) for name in names]
        at = [row + (number - (len(faces) - 1) / 2) * .26 for row in range(len(names))]
        bars = axes.barh(at, values, .25, label=f'{count} faces')
        axes.bar_label(bars, fmt=' %.1f', fontsize=7)
    axes.axvline(1, color='black', linewidth=1)
    axes.set_yticks(range(len(names)),
                    labels=[name.replace('_', ' ', 1).replace('_', ' ') for name in names])
    axes.invert_yaxis()
    axes.set(xlabel='times faster than the peer (CPU time, one thread, 720p)',
             title='peer and ours')
    axes.grid(alpha=.3, axis='x')
    axes.legend(fontsize=8)
    return figure
