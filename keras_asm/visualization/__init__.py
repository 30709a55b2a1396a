"""Drawings on images (Pillow) and plots (Matplotlib); both are imported when one is made."""

from keras_asm.visualization.drawing import contact_sheet, draw_faces, draw_landmarks, draw_pose_axes
from keras_asm.visualization.plots import plot_ced, plot_reliability, plot_shape_modes

__all__ = [
    "contact_sheet",
    "draw_faces",
    "draw_landmarks",
    "draw_pose_axes",
    "plot_ced",
    "plot_reliability",
    "plot_shape_modes",
]
