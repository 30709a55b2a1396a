"""Readers of annotated faces on disk, and the class that they fill."""

from keras_asm.datasets.aflw2000_3d import load_aflw2000_3d
from keras_asm.datasets.cofw import load_cofw
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.ibug_300w import load_300w
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.datasets.landmark_table import load_table
from keras_asm.datasets.pose_csv import read_pose_csv
from keras_asm.datasets.pts import read_pts, write_pts
from keras_asm.datasets.pts_folder import load_pts_folder
from keras_asm.datasets.w300_lp import load_300w_lp
from keras_asm.datasets.wflw import load_wflw
from keras_asm.datasets.youtube_faces import load_youtube_faces

__all__ = [
    "DatasetError",
    "LandmarkDataset",
    "load_300w",
    "load_300w_lp",
    "load_aflw2000_3d",
    "load_cofw",
    "load_pts_folder",
    "load_table",
    "load_wflw",
    "load_youtube_faces",
    "read_pose_csv",
    "read_pts",
    "write_pts",
]
