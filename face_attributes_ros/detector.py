# SPDX-License-Identifier: Apache-2.0
"""Image to faces: letterbox, network, threshold, suppression, back to source pixels; large images
in overlapping tiles, too, where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from face_attributes_ros import boxes
from face_attributes_ros.errors import ImageError, ModelError
from face_attributes_ros.faces import Face
from face_attributes_ros.settings import Settings
from face_attributes_ros.stopwatch import Stopwatch
from face_attributes_ros.tiles import CUT_PX, Tile, tiles_of

MOST_CANVASES = 12
"""Canvas shapes that a detector uses; runtimes keep memory for each. Images of further aspects get
the square one."""
MOST_TILES_A_BATCH = 8
"""Parts of pictures in one call of the network: more are no faster, and runtimes keep memory for
each."""


def check_image(image_bgr: object) -> None:
    """Raises ImageError unless the array is (H, W, 3) uint8 with at least one pixel."""
    if not isinstance(image_bgr, np.ndarray):
        raise ImageError(f'image is a {type(image_bgr).__name__}, needs uint8 '
                         '(height, width, 3) with at least one pixel')
    shape = image_bgr.shape
    if image_bgr.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ImageError(f'image is {image_bgr.dtype} of shape {shape}, needs uint8 '
                         '(height, width, 3) with at least one pixel')


class FaceDetector:
    """Finds faces in BGR images of any size.

    `network` takes (B, H, W, 3) uint8 and gives [(B, N, 5)]: x0, y0, x1, y1 in canvas pixels and a
    score. `imgsz_px` is the canvas's longest side; its other side follows the image's aspect
    unless `square`, the paper's 448x448. With `tiles` of 2 and more an image that is larger is
    looked at whole and in so many tiles along each side. `threshold` is the score that the
    model's manifest advises, in `own` under the name of its setting; it holds where no settings
    are given.
    """

    def __init__(self, network: Callable[[np.ndarray], Sequence[np.ndarray]], *,
                 imgsz_px: int = 448, square: bool = False, tiles: int = 0,
                 threshold: float = .5, watch: Stopwatch | None = None):
        self.network, self.imgsz_px, self.square, self.tiles = network, imgsz_px, square, tiles
        self.own = {'detector_confidence': threshold}
        self.watch = watch or Stopwatch()
        self._shapes: set[tuple[int, int]] = set()
        self._canvases: dict[tuple[int, ...], np.ndarray] = {}

    def __call__(self, image_bgr: np.ndarray, settings: Settings | None = None) -> list[Face]:
        """The faces of one image, best score first."""
        return self.detect([image_bgr], settings)[0]

    def detect(self, images_bgr: Sequence[np.ndarray], settings: Settings | None = None, *,
               looks_follow: bool = True) -> list[list[Face]]:
        """The faces of each image, as a list a picture; images of one canvas shape share a batch.

        `looks_follow` says whether attributes of these faces will be asked for, which is of use to
        a detector that computes them along (`device/`).
        """
        del looks_follow
        settings = settings or Settings().filled(self.own)
        for image in images_bgr:
            check_image(image)
        if self.tiles > 1:
            return [self._in_tiles(image, settings) for image in images_bgr]
        letterboxes = [self._letterbox(image) for image in images_bgr]
        faces: list[list[Face]] = [[] for _ in images_bgr]
        for group in _by_canvas(letterboxes).values():
            rows = self._run([images_bgr[i] for i in group], [letterboxes[i] for i in group])
            with self.watch('nms'):
                for index, row in zip(group, rows):
                    faces[index] = faces_of(row, letterboxes[index], settings)
        return faces

    def _in_tiles(self, image: np.ndarray, settings: Settings) -> list[Face]:
        height, width = image.shape[:2]
        tiles = tiles_of(width, height, self.tiles, self.imgsz_px)
        views = [tile.view(image) for tile in tiles]
        letterboxes = [self._letterbox(view) for view in views]
        found = []
        for group in _by_canvas(letterboxes).values():
            for start in range(0, len(group), MOST_TILES_A_BATCH):
                some = group[start:start + MOST_TILES_A_BATCH]
                rows = self._run([views[i] for i in some], [letterboxes[i] for i in some])
                found += [_in_picture(row, letterboxes[i], tiles[i], settings)
                          for i, row in zip(some, rows)]
        with self.watch('nms'):
            return _kept(np.concatenate(found), width, height, settings)

    def _letterbox(self, image: np.ndarray) -> boxes.Letterbox:
        height, width = image.shape[:2]
        side = self.imgsz_px
        canvas = (side, side) if self.square else boxes.canvas_size(width, height, side)
        if canvas not in self._shapes and len(self._shapes) >= MOST_CANVASES:
            canvas = (side, side)
        self._shapes.add(canvas)
        return boxes.Letterbox(width, height, *canvas)

    def _run(self, images: Sequence[np.ndarray],
             letterboxes: Sequence[boxes.Letterbox]) -> np.ndarray:
        first = letterboxes[0]
        batch = self._canvas((len(images), first.canvas_height, first.canvas_width, 3))
        with self.watch('letterbox'):
            for image, letterbox, canvas in zip(images, letterboxes, batch):
                letterbox.apply(image, canvas)
        with self.watch('detect'):
            rows = np.asarray(self.network(batch)[0])
        if rows.ndim != 3 or rows.shape[0] != len(images) or rows.shape[2] != 5:
            raise ModelError(f'detector gave shape {rows.shape}, needs ({len(images)}, N, 5)')
        if rows.dtype.kind != 'f' or not np.isfinite(rows).all():
            raise ModelError('detector gave numbers that are not finite: its weights are damaged')
        scores = rows[:, :, 4]
        if scores.size and not -.001 <= scores.min() <= scores.max() <= 1.001:
            raise ModelError(f'detector gave scores from {scores.min():.3g} to '
                             f'{scores.max():.3g}, needs 0 to 1')
        return rows

    def _canvas(self, shape: tuple[int, ...]) -> np.ndarray:
        if shape not in self._canvases:
            self._canvases[shape] = np.empty(shape, np.uint8)
        return self._canvases[shape]


def faces_of(rows: np.ndarray, letterbox: boxes.Letterbox, settings: Settings) -> list[Face]:
    """The faces in a network's rows (N, 5) for one image, best score first, in source pixels."""
    rows = rows[rows[:, 4] >= settings.detector_confidence]
    found = np.concatenate([letterbox.to_source(rows[:, :4]), rows[:, 4:]], 1)
    return _kept(found, letterbox.width, letterbox.height, settings)


def _in_picture(rows: np.ndarray, letterbox: boxes.Letterbox, tile: Tile,
                settings: Settings) -> np.ndarray:
    """A tile's rows (N, 5) in the picture's pixels, without those that one of its edges cuts."""
    rows = rows[rows[:, 4] >= settings.detector_confidence]
    found = letterbox.to_source(rows[:, :4])
    whole = tile.whole_boxes(found, CUT_PX / letterbox.scale)
    return np.concatenate([tile.to_picture(found[whole]), rows[whole, 4:]], 1)


def _kept(rows: np.ndarray, width: int, height: int, settings: Settings) -> list[Face]:
    """The faces in rows (N, 5) in the picture's pixels: cut off at its edges, large enough, each
    once."""
    found = boxes.clip(rows[:, :4], width, height)
    sides = found[:, 2:] - found[:, :2]
    large = ((sides.min(1, initial=np.inf) > 0)
             & (sides.max(1, initial=0) >= settings.detector_min_face_px))
    rows, found = rows[large], found[large]
    kept = boxes.nms(rows[:, :4], rows[:, 4], settings.detector_iou, settings.detector_max_faces)
    return [Face(_corners(found[i]), float(rows[i, 4])) for i in kept]


def _corners(box_xyxy: np.ndarray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box_xyxy.tolist()
    return x0, y0, x1, y1


def _by_canvas(letterboxes: Sequence[boxes.Letterbox]) -> dict[tuple[int, int], list[int]]:
    groups: dict[tuple[int, int], list[int]] = {}
    for index, letterbox in enumerate(letterboxes):
        groups.setdefault((letterbox.canvas_width, letterbox.canvas_height), []).append(index)
    return groups
