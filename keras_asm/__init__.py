"""Active shape models for Keras."""
