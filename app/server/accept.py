"""Headers such as `Accept` and `Accept-Language`: lists with weights (RFC 9110 §12.4.2)."""


def weights(header: str) -> dict[str, float]:
    """Returns the weight of each item, in lower case. The greatest counts if one is listed twice."""
    found: dict[str, float] = {}
    for name, weight in map(_weighted, header.lower().split(",")):
        found[name] = max(weight, found.get(name, 0.0))
    return found


def _weighted(item: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in item.split(";"))
    weight = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0
