"""Libraries that only some formats need."""

from __future__ import annotations

from mriseg.errors import BackendError
from mriseg.extras import Extra

ONNX = Extra("onnx", "onnx", ("onnx", "onnxscript", "onnxruntime"), BackendError)
COREML = Extra("coreml", "coreml", ("coremltools",), BackendError)
