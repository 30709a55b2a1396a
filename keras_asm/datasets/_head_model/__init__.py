"""A parametric 3-D head drawn with NumPy: what `keras_asm.datasets.synthetic_faces` is made of."""
