"""Tests of what holds other SDKs back; `make test` runs them in an environment of their own.

Elsewhere they are not collected: there, LiteLLM cannot be installed beside the newest SDKs. Where nothing is collected of a
folder that is asked for, pytest fails.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("litellm") else ["test_*.py"]

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would ask the network for its price list
