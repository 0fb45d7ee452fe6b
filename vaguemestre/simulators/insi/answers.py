"""What the simulated INSi writes: results, verifications, faults.

Source: section 4.3 of the project's reference on national services (RESULTAT, INDIVIDU, siram:Erreur).
"""

from __future__ import annotations

import uuid
from xml.sax.saxutils import escape, quoteattr

from vaguemestre.simulators.insi.people import Person

_LABELS = {
    "00": "OK",
    "01": "Aucune identite trouvee",
    "02": "Plusieurs identites trouvees",
}
_SOAP = "http://www.w3.org/2003/05/soap-envelope"


def result(code: str, person: Person | None = None) -> str:
    """The body of an answer to a search; the history stands before the INS in use, as some answers have it."""
    told = f"<CR><CodeCR>{escape(code)}</CodeCR><LibelleCR>{_LABELS.get(code, 'Autre')}</LibelleCR></CR>"
    if person is not None:
        former = f"<INSHISTO>{_identifier(person.former, person.oid)}</INSHISTO>" if person.former else ""
        traits = (
            f"<TIQ><NomNaissance>{escape(person.family)}</NomNaissance>"
            f"<ListePrenom>{escape(person.given)}</ListePrenom><Sexe>{person.sex}</Sexe>"
            f"<DateNaissance>{person.birth_date}</DateNaissance>"
            f"<LieuNaissance>{person.birth_place}</LieuNaissance></TIQ>"
        )
        told += f"<INDIVIDU>{former}<INSACTIF>{_identifier(person.number, person.oid)}</INSACTIF>{traits}</INDIVIDU>"
    return f'<RESULTAT xmlns="http://www.cnamts.fr/INSiResultat">{told}</RESULTAT>'


def verified(number: str, oid: str, *, right: bool) -> str:
    """The body of an answer to a verification."""
    return (
        '<RESULTAT xmlns="http://www.cnamts.fr/INSiLot2/REPUnitaire"><CR><CodeCR>00</CodeCR></CR><IndividuVerifie>'
        f"<INSFourni>{_identifier(number, oid)}</INSFourni><Resultat>{str(right).lower()}</Resultat>"
        "</IndividuVerifie></RESULTAT>"
    )


def envelope(body: str, relates_to: str) -> bytes:
    """An answer around a body."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><env:Envelope xmlns:env="{_SOAP}" '
        f'xmlns:wsa="http://www.w3.org/2005/08/addressing"><env:Header>'
        f"<wsa:MessageID>uuid:{uuid.uuid4()}</wsa:MessageID><wsa:RelatesTo>{escape(relates_to)}</wsa:RelatesTo>"
        f"</env:Header><env:Body>{body}</env:Body></env:Envelope>"
    ).encode()


def fault(code: str, reason: str, relates_to: str = "", *, sender: bool = False, subcode: str = "siram_40") -> bytes:
    """A SOAP fault with its ``siram:Erreur``."""
    body = (
        f"<env:Fault><env:Code><env:Value>env:{'Sender' if sender else 'Receiver'}</env:Value>"
        f'<env:Subcode><env:Value xmlns:siram="urn:siram">siram:{escape(subcode)}</env:Value></env:Subcode></env:Code>'
        f'<env:Reason><env:Text xml:lang="fr">{escape(reason)}</env:Text></env:Reason>'
        f'<env:Detail><siram:Erreur xmlns:siram="urn:siram" severite="fatal" code={quoteattr(code)}>'
        f"{escape(reason)}</siram:Erreur></env:Detail></env:Fault>"
    )
    return envelope(body, relates_to)


def _identifier(number: str, oid: str) -> str:
    return (
        f"<IdIndividu><NumIdentifiant>{number[:13]}</NumIdentifiant><Cle>{number[13:]}</Cle></IdIndividu>"
        f"<OID>{oid}</OID>"
    )
