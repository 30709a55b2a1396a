"""Readers of annotated faces on disk, the class that they fill, and writers of it."""

from keras_asm.datasets.aflw2000_3d import load_aflw2000_3d
from keras_asm.datasets.coco import load_coco, write_coco
from keras_asm.datasets.cofw import load_cofw
from keras_asm.datasets.cvat import load_cvat
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.ibug_300w import load_300w
from keras_asm.datasets.imglab import load_imglab
from keras_asm.datasets.labelme import load_labelme
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.datasets.landmark_table import load_table
from keras_asm.datasets.pose_csv import read_pose_csv
from keras_asm.datasets.pts import read_pts, write_pts
from keras_asm.datasets.pts_folder import load_pts_folder, write_pts_folder
from keras_asm.datasets.via import load_via
from keras_asm.datasets.w300_lp import load_300w_lp
from keras_asm.datasets.wflw import load_wflw
from keras_asm.datasets.youtube_faces import load_youtube_faces

__all__ = [
    "DatasetError",
    "LandmarkDataset",
    "load_300w",
    "load_300w_lp",
    "load_aflw2000_3d",
    "load_coco",
    "load_cofw",
    "load_cvat",
    "load_imglab",
    "load_labelme",
    "load_pts_folder",
    "load_table",
    "load_via",
    "load_wflw",
    "load_youtube_faces",
    "read_pose_csv",
    "read_pts",
    "write_coco",
    "write_pts",
    "write_pts_folder",
]
