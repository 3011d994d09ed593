"""What JSON Schema cannot say of the native API: the limits of texts are bytes of UTF-8, not characters."""

import schemathesis

BYTES_MAX = {"reason": 2_000, "reference": 2_000}


def fits(value, name=""):
    if isinstance(value, str):
        limit = BYTES_MAX.get(name, 200)
        # A text with too many characters is too long in bytes too, and the document says so.
        return len(value) > limit or len(value.encode("utf-8", "surrogatepass")) <= limit
    if isinstance(value, dict):
        return all(fits(element, key) for key, element in value.items())
    if isinstance(value, list):
        return all(fits(element, name) for element in value)
    return True


@schemathesis.hook
def filter_case(context, case):
    return fits(case.body) and all(
        fits(dict(values or {})) for values in (case.query, case.path_parameters))
