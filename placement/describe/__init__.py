"""Makes the TaskSpec of a task before it runs.

    of_module     a torch module and an example input, traced on the meta device: nothing is allocated or computed
    of_xgboost    histogram gradient boosting, from a documented cost formula
    of_arguments  the sizes of arbitrary arguments, in microseconds; FLOPs stay unknown

They are in the modules `module` (with `trace` and `operation_cost`), `xgboost_cost` and `arguments`.

Importing this module imports neither torch nor numpy; `of_module` imports torch when it is first called.
"""

from placement.describe.arguments import of_arguments
from placement.describe.module import of_module
from placement.describe.xgboost_cost import of_xgboost

__all__ = ["of_arguments", "of_module", "of_xgboost"]
