"""The old place of the policies and of what they take and give; it goes with version 0.3."""

from placement.deprecation import deprecated_names

_CANDIDATES, _POLICIES = "placement.scheduling.candidates", "placement.scheduling.policies"

__getattr__ = deprecated_names(
    __name__,
    {
        "Candidate": _CANDIDATES,
        "Choice": _CANDIDATES,
        "Policy": _CANDIDATES,
        "SelectorPolicy": f"{_POLICIES}.selector_policy",
        "Balanced": f"{_POLICIES}.balanced",
        "policy_of": f"{_POLICIES}.registry",
    },
)
