"""Gains for people: the share of another's error that is saved, below zero where there is more of it."""


def signed(gain: float | None) -> str:
    """Return a gain in per cent with its sign, one that rounds to zero without any, and nothing if there is none."""
    if gain is None:
        return ""
    text = f"{gain:+.2%}"
    return "0.00%" if text[1:] == "0.00%" else text


def beside(gain: float, other: str) -> str:
    """Return in words how a forecaster stands to another: `4.20% better than zero`."""
    share = f"{abs(gain):.2%}"
    if share == "0.00%":
        return f"as good as {other}"
    return f"{share} {'better' if gain > 0 else 'worse'} than {other}"
