"""What the OpenAPI document cannot say; schemathesis loads it by name."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """No encounter twice in a request: that rule has no form in a JSON schema."""
    rows = case.body.get("rows") if isinstance(case.body, dict) else None
    seen = set()
    for row in rows if isinstance(rows, list) else []:
        number = row.get("encounter_id") if isinstance(row, dict) else None
        if isinstance(number, int) and not isinstance(number, bool):
            while number in seen:
                number += 1 if number < 2**62 else -1
            row["encounter_id"] = number
            seen.add(number)
