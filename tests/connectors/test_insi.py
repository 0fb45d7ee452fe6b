"""The ``insi`` lookup against the simulator over mutual TLS: what is asked, what is written, what is never said."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from channels.errors import ConfigError, MessageError, Refused, Undelivered
from channels.message import Message
from connectors.insi.lookup import InsiLookup
from connectors.insi.settings import InsiSettings
from tests.connectors.insi import NAME, OID, PLACE, RUTH, World, adt, with_ins, world
from transforms import er7
from vaguemestre.simulators.insi.service import Behaviour
from vaguemestre.simulators.pki import Authority

INS = f"{RUTH}^^^ASIP-SANTE-INS-NIR&{OID}&ISO^INS"
PERSONAL = (RUTH, RUTH[:13], "FICTIVE", "RUTH", "ISABELLE", "19790328", "1979-03-28", "51215")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("insi"))


@pytest.fixture
async def insi(authority: Authority, tmp_path: Path) -> AsyncIterator[World]:
    async with world(authority, tmp_path) as made:
        yield made


async def ask(insi: World, message: Message, **changes: Any) -> Message:
    lookup = insi.lookup(**changes)
    context: Any = None
    try:
        made = await lookup.ask(message, context)
    finally:
        await lookup.aclose()
    assert isinstance(made, Message)
    return made


async def word(insi: World, message: Message, **changes: Any) -> str:
    made = await ask(insi, message, **changes)
    return f"{made.attributes['insi']} {made.attributes['insi_calls']}"


def broken(insi: World) -> set[str]:
    return {rule for call in insi.insi.calls for rule in call.broken}


# search


async def test_a_validated_identity_gets_its_ins_and_nothing_else_changes(insi: World) -> None:
    message = adt()
    made = await ask(insi, message)
    assert made.attributes == {"insi": "qualified", "insi_calls": "1"}
    assert made.body == message.body.replace(b"&ISO^PI", b"&ISO^PI~" + INS.encode())
    assert broken(insi) == set()
    assert insi.insi.calls[0].client == "1990000001"


async def test_each_call_can_be_traced_without_the_patient(insi: World) -> None:
    with capture_logs() as logs:
        await ask(insi, adt())
    (call,) = [one for one in logs if one["event"] == "insi call"]
    assert (call["control_id"], call["operation"], call["sender"], call["status"]) == (
        "G1",
        "search",
        "1750000001",
        200,
    )
    assert call["certificate"] == format(insi.authority.keep("sign", "sign").certificate.serial_number, "x")
    assert not [one for one in PERSONAL if one in repr(logs)]


async def test_the_ins_is_written_with_the_delimiters_of_the_message(insi: World) -> None:
    body = adt().body
    for old, new in ((b"^", b"!"), (b"&", b"@"), (b"~", b"*")):
        body = body.replace(old, new)
    made = await ask(insi, er7.message(body, 1.0))
    assert f"*{RUTH}!!!ASIP-SANTE-INS-NIR@{OID}@ISO!INS".encode() in made.body


async def test_the_ins_stands_alone_in_an_empty_pid_3(insi: World) -> None:
    made = await ask(insi, adt(ids=""))
    assert er7.read(made).raw("PID-3") == INS


@pytest.mark.parametrize("policy, said", [("propose", "found 1"), ("qualify", "qualified 1")])
async def test_a_proposal_changes_no_byte(insi: World, policy: str, said: str) -> None:
    message = adt()
    made = await ask(insi, message, policy=policy)
    assert f"{made.attributes['insi']} {made.attributes['insi_calls']}" == said
    assert (made.body == message.body) is (policy == "propose")


@pytest.mark.parametrize(
    "message, said",
    [
        (adt(status="PROV"), "excluded 0"),
        (adt(status="VIDE"), "excluded 0"),
        (adt(status=""), "excluded 0"),
        (adt(status="PROV~DOUT"), "excluded 0"),
        (adt(status="VALI~DOUT"), "excluded 0"),
        (adt(status="VALI~FICT"), "excluded 0"),
        (adt(status="VALI~ANOM"), "excluded 0"),
        (adt(more="ZFD||||Y\r"), "excluded 0"),
        (adt(more="PID|2||8^^^GAP^PI\r"), "excluded 0"),
        (adt(ids=with_ins()), "present 0"),
        (adt(ids='77^^^GAP^PI~""^^^A&1.2.250.1.213.1.4.10&ISO^INS'), "present 0"),
        (adt(ids='""'), "present 0"),
        (adt(ids=f"{RUTH}^^^ASIP-SANTE-NIR&{OID}&ISO^NH"), "qualified 1"),
        (adt(sex="U"), "incomplete 0"),
        (adt(birth="197903"), "incomplete 0"),
        (adt(birth="19790230"), "incomplete 0"),
        (adt(name=""), "incomplete 0"),
        (adt(name="FICTIVE^RUTH^^^^^D"), "incomplete 0"),
        (adt(name="123^456^^^^^L"), "incomplete 0"),
        (adt(status="VALI~HOMA"), "qualified 1"),
    ],
)
async def test_only_identities_that_may_be_asked_about_are(insi: World, message: Message, said: str) -> None:
    made = await ask(insi, message)
    assert f"{made.attributes['insi']} {made.attributes['insi_calls']}" == said
    if not said.startswith("qualified"):
        assert made.body == message.body
    assert len(insi.insi.calls) == int(said[-1])


async def test_doubt_and_invention_forbid_calls_whatever_the_site_says(insi: World) -> None:
    for attribute in ("DOUT", "FICT"):
        assert await word(insi, adt(status=f"PROV~{attribute}"), provisional=True, excluded=[]) == "excluded 0"
        assert await word(insi, adt(status=f"PROV~{attribute}", ids=with_ins()), policy="verify") == "excluded 0"


async def test_a_provisional_identity_is_recovered_without_its_ins(insi: World) -> None:
    message = adt(status="PROV")
    made = await ask(insi, message, provisional=True)
    assert made.attributes["insi"] == "recovered"
    assert made.body == message.body


@pytest.mark.parametrize(
    "name, given",
    [
        ("Fictive^Ruth^Ruth Isabelle^^^^L", [2]),
        ("fictivé^ruth^ruth  isabelle^^^^L", [2]),
        ("FICTIVE^RUTH^RUTH,ISABELLE^^^^L", [2]),
        ("FICTIVE^RUTH^RUTH ISABELLE^^Mme^^^L", [2]),
        ("DURAND^RUTH^^^^^D~FICTIVE^RUTH^RUTH ISABELLE^^^^L", [2]),
    ],
)
async def test_names_are_written_in_the_alphabet_of_insi(insi: World, name: str, given: list[int]) -> None:
    assert await word(insi, adt(name=name)) == "qualified 1"
    assert [call.given for call in insi.insi.calls] == given
    assert broken(insi) == set()


async def test_given_names_are_tried_all_then_one_by_one_four_times_at_most(insi: World) -> None:
    nobody = adt(name="FICTIVE^A^A B C D E F^^^^L")
    assert await word(insi, nobody) == "none 4"
    assert [call.given for call in insi.insi.calls] == [6, 1, 1, 1]
    assert await word(insi, nobody, calls=1) == "none 1"


async def test_one_given_name_alone_is_asked_once(insi: World) -> None:
    assert await word(insi, adt(name="FICTIVE^ANNE^ANNE^^^^L")) == "none 1"


async def test_the_first_success_ends_the_search(insi: World) -> None:
    assert await word(insi, adt(name="FICTIVE^RUTH^RUTH MARIE^^^^L")) == "differs 2"


async def test_two_people_with_the_same_traits_are_never_chosen_between(insi: World) -> None:
    twin = adt(name="JUMEAU^PAUL^PAUL^^^^L", birth="19980701", sex="M", place="^^^^^^BDL^^63220")
    assert await word(insi, twin) == "several 1"


@pytest.mark.parametrize(
    "changes, differs",
    [
        ({"name": "FICTIVE^RUTH^^^^^L"}, "PID-5"),
        ({"name": "FICTIVE^ISABELLE^ISABELLE^^^^L"}, "PID-5"),
        ({"place": ""}, "PID-11"),
        ({"place": "", "name": "FICTIVE^RUTH^^^^^L"}, "PID-5 PID-11"),
    ],
)
async def test_traits_that_do_not_agree_qualify_nobody(insi: World, changes: dict[str, str], differs: str) -> None:
    message = adt(**changes)
    made = await ask(insi, message)
    assert (made.attributes["insi"], made.attributes["insi_differs"]) == ("differs", differs)
    assert made.body == message.body
    with pytest.raises(MessageError) as refusal:
        await ask(insi, message, on_mismatch="refuse")
    assert refusal.value.place == differs.split(maxsplit=1)[0]


async def test_the_first_given_name_is_enough_for_a_site_that_says_so(insi: World) -> None:
    assert await word(insi, adt(name="FICTIVE^RUTH^^^^^L"), given_names="first") == "qualified 1"
    assert await word(insi, adt(name="FICTIVE^ISABELLE^^^^^L"), given_names="first") == "differs 1"


async def test_other_messages_go_on_as_they_are(insi: World) -> None:
    lookup = insi.lookup()
    context: Any = None
    for message in (Message(b"<a/>", "xml"), er7.message(b"MSH|^~\\&|A|B|C|D|1||ACK|1|P|2.5\rMSA|AA|1\r", 1.0)):
        assert await lookup.ask(message, context) is message
    await lookup.aclose()


# verification


@pytest.mark.parametrize(
    "message, said",
    [
        (adt(ids=with_ins()), "verified 1"),
        (adt(ids=with_ins(), name="FICTIVE^RUTH^^^^^L"), "verified 1"),
        (adt(ids=with_ins(), name="AUTRE^RUTH^RUTH ISABELLE^^^^L"), "mismatch 1"),
        (adt(ids=with_ins(), birth="19790329"), "mismatch 1"),
        (adt(ids=with_ins(RUTH[:13] + "88")), "mismatch 0"),
        (adt(ids=with_ins(oid="1.2.250.1.213.1.4.8")), "mismatch 0"),
        (adt(), "absent 0"),
        (adt(ids=f'77^^^GAP^PI~""^^^A&{OID}&ISO^INS'), "absent 0"),
        (adt(ids=with_ins(oid="")), "mismatch 0"),
        (adt(ids=with_ins(), status="PROV"), "excluded 0"),
    ],
)
async def test_an_ins_is_verified_with_the_traits(insi: World, message: Message, said: str) -> None:
    made = await ask(insi, message, policy="verify", on_mismatch="mark")
    assert f"{made.attributes['insi']} {made.attributes['insi_calls']}" == said
    assert made.body == message.body
    assert broken(insi) == set()


async def test_a_wrong_ins_is_withheld_and_looked_for_again(insi: World) -> None:
    former = "279035121518989"
    message = adt(
        ids=with_ins(former), name="NESSI^MICHELANGELO^MICHELANGELO^^^^L", birth="19810101", sex="M",
        place="^^^^^^BDL^^63220",
    )  # fmt: skip
    withheld = await ask(insi, message, policy="verify")
    assert withheld.attributes["insi"] == "mismatch"
    assert withheld.body == adt(
        name="NESSI^MICHELANGELO^MICHELANGELO^^^^L", birth="19810101", sex="M", place="^^^^^^BDL^^63220"
    ).body  # fmt: skip
    made = await ask(insi, withheld)
    assert made.attributes == {"insi": "mismatch qualified", "insi_calls": "2"}
    assert er7.read(made).get("PID-3[2].1") == "181016322075140"


async def test_a_wrong_ins_can_be_refused_with_its_place(insi: World) -> None:
    with pytest.raises(MessageError) as refusal:
        await ask(insi, adt(ids=with_ins(), birth="19790329"), policy="verify", on_mismatch="refuse")
    assert refusal.value.place == "PID-3[2].1"


# what goes wrong

BEHAVIOURS = [
    (Behaviour(fault="insi_102"), Undelivered),
    (Behaviour(fault="siram_40", sender=True), Undelivered),
    (Behaviour(fault="insi_999"), Undelivered),
    (Behaviour(fault="insi_999", sender=True), Refused),
    (Behaviour(http=500), Undelivered),
    (Behaviour(http=503), Undelivered),
    (Behaviour(http=403), Refused),
    (Behaviour(http=200), Undelivered),
    (Behaviour(cut=True), Undelivered),
    (Behaviour(slow=5.0), Undelivered),
    (Behaviour(body="<html>FICTIVE</html>"), Undelivered),
    (Behaviour(body="FICTIVE <"), Undelivered),
    (Behaviour(body=f'<!DOCTYPE a [<!ENTITY b "{RUTH}">]><a>&b;</a>'), Undelivered),
    (Behaviour(body="<a>" + "x" * 1_000_001 + "</a>"), Undelivered),
    (Behaviour(code="03"), Refused),
    (Behaviour(code="0279035121518989"), Refused),
    (Behaviour(answer={"number": RUTH[:13] + "88"}), Refused),
    (Behaviour(answer={"oid": "1.2.250.1.213.1.4.8"}), Refused),
    (Behaviour(answer={"birth_place": ""}), Refused),
    (Behaviour(answer={"given": ""}), Refused),
    (Behaviour(answer={"sex": "X"}), Refused),
]


@pytest.mark.parametrize("behaviour, kind", BEHAVIOURS, ids=lambda one: repr(one)[:60])
async def test_each_failure_is_theirs_or_ours_and_tells_nothing_of_the_patient(
    insi: World, behaviour: Behaviour, kind: type[Exception]
) -> None:
    insi.insi.behaviour = behaviour
    times = {"read": "150ms", "total": "150ms"} if behaviour.slow else {}
    with capture_logs() as logs:
        with pytest.raises(kind) as failure:
            await ask(insi, adt(), when_down="wait", timeouts=times)
        passed = await word(insi, adt(), when_refused="pass", timeouts=times)
    assert passed == ("unreachable 1" if kind is Undelivered else "refused 1")
    said = f"{failure.value!s} {failure.value!r} {logs!r}"
    assert not [one for one in PERSONAL if one in said]
    assert getattr(failure.value, "answer", b"") == b""


@pytest.mark.parametrize("code, said", [("00", "qualified 1"), ("01", "none 3"), ("02", "several 1")])
async def test_each_code_has_its_word(insi: World, code: str, said: str) -> None:
    insi.insi.behaviour = Behaviour(code=code)
    with capture_logs() as logs:
        assert await word(insi, adt()) == said
    assert [one["code"] for one in logs if one["event"] == "insi answer"] == [code] * int(said[-1])
    assert not [one for one in PERSONAL if one in repr(logs)]


async def test_a_site_sorts_codes_of_its_own(insi: World, tmp_path: Path) -> None:
    table = tmp_path / "faults.csv"
    table.write_text("code,action,label\ninsi_999,message,x\ninsi_102,refuse,y\n")
    for code, kind in (("insi_999", MessageError), ("insi_102", Refused)):
        insi.insi.behaviour = Behaviour(fault=code)
        with pytest.raises(kind, match=code):
            await ask(insi, adt(), faults=table)


@pytest.mark.parametrize("text", ["code,action\n", "code,action,label\nx y,retry,z\n", "code,action,label\na_1,no,z\n"])
async def test_a_table_of_codes_that_is_none_is_found_at_the_start(insi: World, tmp_path: Path, text: str) -> None:
    table = tmp_path / "faults.csv"
    table.write_text(text)
    with pytest.raises(ConfigError, match=r"^faults\.csv:[12]:1: "):
        insi.lookup(faults=table)


async def test_after_an_outage_admissions_do_not_wait_for_insi(insi: World) -> None:
    insi.insi.behaviour = Behaviour(http=503)
    lookup = insi.lookup()
    context: Any = None
    words = [(await lookup.ask(adt(), context)).attributes for _ in range(3)]
    assert [(one["insi"], one["insi_calls"]) for one in words] == [("unreachable", "1"), *[("unreachable", "0")] * 2]
    assert len(insi.insi.calls) == 1
    await lookup.aclose()


async def test_an_unknown_product_is_refused(insi: World) -> None:
    with pytest.raises(Refused, match="sim_idam"):
        await ask(insi, adt(), context={"idam": "AUTRE"})
    assert broken(insi) == {"lps.idam"}


async def test_without_the_right_certificate_nothing_is_answered(
    insi: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    own = insi.surroundings.site.certificates["auth"]
    files = {"file": stranger.keep("auth", "client").p12}
    insi.surroundings.site.certificates["auth"] = own.model_copy(update=files)
    with pytest.raises(Undelivered):
        await ask(insi, adt(), when_down="wait")
    assert insi.insi.calls == []


async def test_a_certificate_that_is_not_for_clients_is_seen(insi: World) -> None:
    with pytest.raises((Refused, Undelivered)):
        await ask(insi, adt(), tls="sign", when_down="wait")


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"tls": None}, "tls: an address with https needs a certificate"),
        ({"sign": "sing"}, "did you mean 'sign'"),
        ({"faults": Path("/nowhere.csv")}, "cannot be read"),
    ],
)
async def test_settings_that_cannot_work_are_told_at_the_start(
    insi: World, changes: dict[str, Any], problem: str
) -> None:
    options = InsiSettings.model_validate(insi.options(**changes))
    with pytest.raises(ConfigError, match=problem):
        await InsiLookup(options, insi.surroundings).start()


async def test_calls_keep_to_the_rate(insi: World) -> None:
    lookup = insi.lookup(rate=50)
    context: Any = None
    made = await asyncio.gather(*(lookup.ask(adt(), context) for _ in range(4)))
    assert [one.attributes["insi"] for one in made] == ["qualified"] * 4
    assert lookup._insi._free > 0
    await lookup.aclose()


def test_names_of_the_test_patient_are_those_of_the_table() -> None:
    assert NAME.split("^")[2] == "RUTH ISABELLE"
    assert PLACE.endswith("51215")
