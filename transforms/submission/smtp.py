"""Answers of mail servers as codes of the business acknowledgement (ERR-5 of a negative ZAM^Z02).

Source: ANS CI-SIS volet "Transmission de documents CDA en HL7v2" 2.1 (table of SMTP codes); RFC 5321, RFC 3463.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_CLASS = re.compile(r"[45](?:\d\d|(?:\.\d{1,3}){2})")

SMTP_CODES: Mapping[str, str] = {
    "101": "Connexion au serveur impossible",
    "111": "Connexion refusée ou service inaccessible",
    "251": "Destinataire non local, courriel relayé",
    "252": "Destinataire non vérifié, remise tentée",
    "420": "Délai de connexion dépassé",
    "421": "Service indisponible",
    "422": "Boîte aux lettres pleine",
    "431": "Espace insuffisant chez le destinataire",
    "432": "File du serveur destinataire arrêtée",
    "441": "Serveur destinataire sans réponse",
    "442": "Connexion interrompue",
    "450": "Boîte aux lettres indisponible",
    "451": "Erreur locale, traitement interrompu",
    "452": "Espace de stockage insuffisant",
    "500": "Commande non reconnue",
    "501": "Paramètre de commande incorrect",
    "502": "Commande non prise en charge",
    "503": "Commandes dans un mauvais ordre",
    "504": "Paramètre de commande non pris en charge",
    "510": "Adresse incorrecte",
    "512": "Domaine destinataire introuvable",
    "513": "Type d'adresse incorrect",
    "523": "Courriel trop grand pour le destinataire",
    "530": "Authentification requise",
    "541": "Courriel rejeté par le destinataire",
    "550": "Boîte aux lettres inexistante ou refusée",
    "551": "Destinataire non local",
    "552": "Espace alloué dépassé",
    "553": "Nom de boîte aux lettres incorrect",
    "554": "Échec de la remise",
}
"""Codes of ERR-5 of a negative Z02, with a label of ours."""


def smtp_code(diagnostic: str) -> tuple[str, str]:
    """Code and label of ERR-5 from a Diagnostic-Code or an answer of a server (``smtp; 550 5.1.1 …``).

    A number that the volet does not list becomes the general one of its class: 451 or 554, also when there is none.
    A ``5.x.z`` or ``4.x.z`` status alone counts for its class. The text itself is not repeated.
    """
    words = re.split(r"[\s;,()-]+", diagnostic)
    for word in words:
        if word in SMTP_CODES:
            return word, SMTP_CODES[word]
    classes = {word[0] for word in words if _CLASS.fullmatch(word)}
    code = "451" if classes == {"4"} else "554"
    return code, SMTP_CODES[code]
