"""Reads objects of the Prometheus operator, as JSON in one list, and says on standard error what is wrong with them."""

import json
import sys

from cloudcoil.models.prometheus_operator import v1


def unknown(given, known, path):
    """The paths of what is in the one and not in the other."""
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            yield from unknown(value, known[key], f"{path}.{key}") if key in known else [f"{path}.{key}"]
    elif isinstance(given, list) and isinstance(known, list):
        for at, (one, other) in enumerate(zip(given, known)):
            yield from unknown(one, other, f"{path}.{at}")


for given in json.load(sys.stdin):
    try:
        known = getattr(v1, given["kind"]).model_validate_json(json.dumps(given), strict=True)
    except ValueError as error:
        sys.exit(str(error))
    # what the models do not know they leave out
    paths = list(unknown(given, known.model_dump(mode="json", by_alias=True, exclude_unset=True), given["kind"]))
    if paths:
        sys.exit(f"the operator knows no {', '.join(paths)}")
