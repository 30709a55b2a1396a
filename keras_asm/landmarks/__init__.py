"""Landmark layouts, schemes and normalising distances: plain NumPy, the lowest layer of the package."""

from keras_asm.landmarks.landmark_scheme import LandmarkScheme, Line
from keras_asm.landmarks.layout import as_flat, as_points, is_paired, split_log_scale
from keras_asm.landmarks.mirror import mirror_landmarks
from keras_asm.landmarks.normalizers import NORMALIZERS, landmark_boxes, normalizing_distance
from keras_asm.landmarks.scheme_mapping import map_landmarks, mapping_matrix
from keras_asm.landmarks.schemes import SCHEMES, get_scheme, serialize_scheme

__all__ = [
    "NORMALIZERS",
    "SCHEMES",
    "LandmarkScheme",
    "Line",
    "as_flat",
    "as_points",
    "get_scheme",
    "is_paired",
    "landmark_boxes",
    "map_landmarks",
    "mapping_matrix",
    "mirror_landmarks",
    "normalizing_distance",
    "serialize_scheme",
    "split_log_scale",
]
