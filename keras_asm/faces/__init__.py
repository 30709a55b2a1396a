"""Faces ready for a network: crops that can be undone, batches, pose labels, new shapes."""

from keras_asm.faces.crop_transform import CropTransform
from keras_asm.faces.cropping import crop_faces, crop_image, detect_boxes, jitter_boxes, read_image
from keras_asm.faces.face_crops import FaceCrops
from keras_asm.faces.landmark_batches import LandmarkBatches
from keras_asm.faces.pose_labels import label_pose
from keras_asm.faces.shape_augmentation import augment_shapes

__all__ = [
    "CropTransform",
    "FaceCrops",
    "LandmarkBatches",
    "augment_shapes",
    "crop_faces",
    "crop_image",
    "detect_boxes",
    "jitter_boxes",
    "label_pose",
    "read_image",
]
