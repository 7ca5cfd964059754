"""Comparisons, each a ratio in one run; see README.md."""
