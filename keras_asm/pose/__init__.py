"""Head pose from landmarks, by geometry: NumPy alone."""

from keras_asm.pose.fitting import fit_pose
from keras_asm.pose.geometric_pose_estimator import GeometricPoseEstimator
from keras_asm.pose.mean_face import mean_face_3d
from keras_asm.pose.rotations import mirror_pose, pose_from_rotation, rotate_pose, rotation_from_pose

__all__ = [
    "GeometricPoseEstimator",
    "fit_pose",
    "mean_face_3d",
    "mirror_pose",
    "pose_from_rotation",
    "rotate_pose",
    "rotation_from_pose",
]
