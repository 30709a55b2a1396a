"""A tile of smooth random numbers that skin, hair, cloth and backgrounds read at random offsets."""

import functools

import numpy as np

__all__ = ["noise_tile", "sample_noise"]

_SIDE = 256


@functools.cache
def noise_tile(roughness: float) -> np.ndarray:
    """Periodic `(256, 256)` noise of unit variance whose spectrum falls as frequency^-roughness."""
    rng = np.random.default_rng(20210419)  # the tile is part of the model, not of the seed
    frequency = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None]) * _SIDE
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=(_SIDE, _SIDE))) / frequency**roughness
    tile = np.fft.irfft2(spectrum, s=(_SIDE, _SIDE))
    return (tile / tile.std()).astype(np.float32)


def sample_noise(u: np.ndarray, v: np.ndarray, roughness: float, offset: np.ndarray) -> np.ndarray:
    """Read the tile at whole-number positions `(u, v)`, wrapped."""
    column = (u.astype(np.intp) + int(offset[0])) & (_SIDE - 1)
    row = (v.astype(np.intp) + int(offset[1])) & (_SIDE - 1)
    return noise_tile(roughness).ravel().take(row * _SIDE + column)
