"""What a new version may do to the results of the one before, and what is kept to know it."""

import pytest
from lxml import etree

from channels.errors import ProfileError, VersionNeeded
from channels.numbering import REMEMBERED, Issue, told
from tests.transforms.laboratory import context, edited, fixture
from tests.transforms.test_cda import texts
from transforms.cda import cr_bio
from transforms.oru import read_report
from transforms.report import Report
from transforms.transitions import check, statuses


def report(status: str, name: str = "oru_nfs") -> Report:
    return read_report(edited(name, ("OBX[2]", 11, status), ("OBX[2]", 5, "4.00")), context())


@pytest.mark.parametrize("before", "FC")
@pytest.mark.parametrize("after", "PRSI")
def test_a_final_result_stays_final(before: str, after: str) -> None:
    with pytest.raises(ProfileError) as caught:
        check(report(after), statuses(report(before)))
    assert caught.value.place == "OBX[2]-11"


@pytest.mark.parametrize(
    "before, after", [("P", "F"), ("P", "P"), ("F", "C"), ("F", "X"), ("F", "D"), ("F", "W"), ("I", "P"), ("C", "F")]
)
def test_other_changes_are_taken(before: str, after: str) -> None:
    check(report(after), statuses(report(before)))


def test_antibiotics_of_two_isolates_are_not_mistaken_for_each_other() -> None:
    before = read_report(fixture("oru_ecbu"), context())
    after = read_report(edited("oru_ecbu", ("OBX[12]", 11, "P")), context())
    with pytest.raises(ProfileError):
        check(after, statuses(before))


def test_what_is_kept_says_nothing_of_the_patient() -> None:
    kept = statuses(read_report(fixture("oru_nfs"), context()))
    assert all(len(one) == 12 and int(one, 16) >= 0 for one in kept.split())
    assert len(kept.split()) == 13


def test_the_document_asks_for_its_version_and_writes_it() -> None:
    message = fixture("oru_with_pdf")
    asking = message.with_body(message.body, attributes={REMEMBERED: "yes"})
    with pytest.raises(VersionNeeded) as caught:
        cr_bio(asking, context())
    need = caught.value
    first = cr_bio(message, context())
    before = "AAAAAAAA-0000-4000-8000-000000000000"
    made = cr_bio(told(asking, need, Issue(3, need.document, before)), context())
    root = etree.fromstring(made.body)
    assert texts(root, "/*/c:versionNumber/@value") == ["3"]
    assert texts(root, "//c:parentDocument/c:id/@root") == [before]
    assert texts(root, "/*/c:id/@root") == texts(etree.fromstring(first.body), "/*/c:id/@root")


def test_a_version_that_takes_a_final_result_back_is_refused() -> None:
    message = edited("oru_with_pdf", ("OBX[1]", 11, "P"))
    asking = message.with_body(message.body, attributes={REMEMBERED: "yes"})
    with pytest.raises(VersionNeeded) as caught:
        cr_bio(asking, context())
    kept = statuses(read_report(fixture("oru_with_pdf"), context()))
    with pytest.raises(ProfileError) as refused:
        cr_bio(told(asking, caught.value, Issue(2, caught.value.document, "A", kept)), context())
    assert refused.value.place == "OBX[1]-11"
