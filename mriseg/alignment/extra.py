"""The library that registers."""

from __future__ import annotations

from mriseg.extras import Extra

ALIGN = Extra("align", "aligning scans", ("SimpleITK",))
