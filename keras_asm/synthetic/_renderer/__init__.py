"""A parametric 3-D head drawn with NumPy: what `keras_asm.synthetic.synthetic_faces` is made of.

It imports NumPy and itself, by relative imports, so that a worker process can load it alone: importing
`keras_asm` would import Keras and its backend, which takes longer than drawing a thousand faces.
"""

__all__ = []
