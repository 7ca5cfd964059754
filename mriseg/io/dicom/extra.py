"""The libraries for DICOM."""

from __future__ import annotations

from mriseg.extras import Extra

READING = Extra("dicom", "reading DICOM", ("pydicom", "dcm2niix"))
WRITING = Extra("dicom", "writing DICOM", ("pydicom", "highdicom"))
