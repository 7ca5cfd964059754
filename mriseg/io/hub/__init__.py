"""Models on the Hugging Face Hub: named as ``hf:USER/NAME@REVISION``, fetched and shared.

- ``address``: what such a name says
- ``library``: huggingface_hub, which not everybody has installed, and what its errors mean
- ``fetching``: a model of the Hub as a folder on this machine
- ``pushing``: a folder of a model to the Hub
"""

from __future__ import annotations

FILES = ("best.safetensors", "certainty.json", "README.md", "MODEL_CARD.md", "LICENSE", "run.json")
"""All that is ever fetched or pushed; ``run.json`` is last, so that where it is, all are."""
