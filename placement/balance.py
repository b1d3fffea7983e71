"""The old place of `placement.scheduling.policies.balanced`; it goes with version 0.3."""

from placement.deprecation import deprecated_names

__getattr__ = deprecated_names(__name__, {"score": "placement.scheduling.policies.balanced"})
