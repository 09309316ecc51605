import pytest

from kallos.words import compared_to, signed, skill_text, skill_tick


@pytest.mark.parametrize(
    ("skill", "skill_is", "in_tables", "on_pages", "in_words"),
    [
        (0.0867, "share", "+8.67%", "8.67%", "8.67% better than zero"),
        (-0.0867, "share", "-8.67%", "\u22128.67%", "8.67% worse than zero"),
        (0.00001, "share", "0.00%", "0.00%", "as good as zero"),
        (0.0123, "difference", "+0.0123", "+0.0123", "0.0123 better than zero"),
        (-0.5, "difference", "-0.5", "\u22120.5", "0.5 worse than zero"),
        (0.000041234, "difference", "+4.12e-05", "+4.12e\u221205", "4.12e-05 better than zero"),
        (1234.5, "difference", "+1.23e+03", "+1.23e+03", "1.23e+03 better than zero"),
        # A sum of sixths is no zero, but nearly.
        (1e-16, "difference", "0", "0", "as good as zero"),
        (0.0, "difference", "0", "0", "as good as zero"),
    ],
)
def test_a_skill_is_a_share_in_percent_or_a_difference_of_three_digits(skill, skill_is, in_tables, on_pages, in_words):
    assert signed(skill, skill_is) == in_tables
    assert skill_text(skill, skill_is) == on_pages
    assert compared_to(skill, "zero", skill_is) == in_words


def test_no_skill_is_an_empty_text():
    assert signed(None, "share") == signed(None, "difference") == ""


def test_an_axis_has_as_few_digits_as_needed():
    assert [skill_tick(0.05, skill_is) for skill_is in ("share", "difference")] == ["5%", "0.05"]
    assert [skill_tick(-0.1, skill_is) for skill_is in ("share", "difference")] == ["\u221210%", "\u22120.1"]
    assert skill_tick(0.1 + 0.2, "difference") == "0.3"
