"""Thumbnails of generated images, many to a picture."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

SIDE = 32  # px of a thumbnail, at most
COLUMNS = 32  # thumbnails in a row of a sheet
# Grey levels. More cannot be told apart in a thumbnail, and noise in the last bits is what does not compress.
LEVELS = 64


def thumbnail_size(image_size: int) -> int:
    """Side of a thumbnail, px: the image's own, or the largest part of it that a whole number divides and that fits."""
    return next(image_size // k for k in range(1, image_size + 1) if image_size % k == 0 and image_size // k <= SIDE)


def thumbnails(images: np.ndarray) -> np.ndarray:
    """Grey values of images, made smaller by averaging blocks of pixels where they are larger than ``SIDE``.

    Args:
        images: intensities, shape (n, size, size); what lies outside [0, 1] is clipped, and NaN is black.

    Returns:
        Shape (n, side, side), uint8, 0 to 255 in ``LEVELS`` even steps.
    """
    n, size, _ = images.shape
    side = thumbnail_size(size)
    block = size // side
    small = images.reshape(n, side, block, side, block).mean(axis=(2, 4))
    levels = np.round(np.nan_to_num(small, nan=0.0, posinf=1.0, neginf=0.0).clip(0.0, 1.0) * (LEVELS - 1))
    return np.round(levels * (255 / (LEVELS - 1))).astype(np.uint8)


def sheet(images: np.ndarray) -> str:
    """Images as one grey 8-bit PNG in base64, ``COLUMNS`` in a row, row by row; thumbnails as :func:`thumbnails`."""
    small = thumbnails(images)
    n, side, _ = small.shape
    rows = -(-n // COLUMNS)
    columns = min(n, COLUMNS)
    tiles = np.zeros((rows * columns, side, side), np.uint8)
    tiles[:n] = small
    picture = tiles.reshape(rows, columns, side, side).transpose(0, 2, 1, 3).reshape(rows * side, columns * side)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
