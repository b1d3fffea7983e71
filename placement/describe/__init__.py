"""Makes the TaskSpec of a task before it runs.

    of_module     a torch module and an example input, traced on the meta device: nothing is allocated or computed
    of_function   a torch function of your own, traced as it stands: forward, loss, backward, optimiser
    of_xgboost    histogram gradient boosting, from a documented cost formula
    of_arguments  the sizes of arbitrary arguments, in microseconds; FLOPs stay unknown

They are in the modules `module` (with `trace`, `meta_device` and `operation_cost`), `function` (with
`function_trace`), `xgboost_cost` and `arguments`.

Importing this module imports neither torch nor numpy; `of_module` and `of_function` import torch when first called.
"""

from placement.describe.arguments import of_arguments
from placement.describe.function import of_function
from placement.describe.module import of_module
from placement.describe.xgboost_cost import of_xgboost

__all__ = ["of_arguments", "of_function", "of_module", "of_xgboost"]
