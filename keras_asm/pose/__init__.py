"""Head pose from landmarks, by geometry: NumPy alone."""

from keras_asm.pose.fitting import fit_pose
from keras_asm.pose.geometric_pose_estimator import GeometricPoseEstimator
from keras_asm.pose.mean_face import mean_face_3d
from keras_asm.pose.rotations import pose_from_rotation, rotation_from_pose

__all__ = [
    "GeometricPoseEstimator",
    "fit_pose",
    "mean_face_3d",
    "pose_from_rotation",
    "rotation_from_pose",
]
