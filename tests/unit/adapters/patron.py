"""A reader whom no output may name: values to feed into every adapter, and to search for in all that comes out."""

CARD, NAME, PHONE, PATRON_ID = "R-70017001", "王小明-Zhang", "13800138000", "21932a85-bd00-446b-9565-46e0c1a5490b"
VALUES = (CARD, NAME, PHONE, PATRON_ID)


def named_in(*outputs: object) -> list[str]:
    """Return the values that stand anywhere in the outputs."""
    text = "\n".join(one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in outputs)
    escaped = NAME.encode("unicode_escape").decode()
    return [value for value in (*VALUES, escaped) if value in text]
