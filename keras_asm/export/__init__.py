"""Networks in other programs' formats: ONNX, LiteRT, OpenVINO, SavedModel."""

from keras_asm.export.exporting import ExportError, ExportReport, export_model

__all__ = ["ExportError", "ExportReport", "export_model"]
