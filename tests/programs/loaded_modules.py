"""Imports modules; prints the names of all modules that are loaded then, as JSON.

Arguments: names of modules, or module:function, which is called.
"""

from __future__ import annotations

import importlib
import json
import sys

for argument in sys.argv[1:]:
    name, _, function = argument.partition(":")
    module = importlib.import_module(name)
    if function:
        getattr(module, function)()
print(json.dumps(sorted(sys.modules)))
