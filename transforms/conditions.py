"""The conditions of HL7 table 0357: their name on the wire, and a sentence for who reads the refusal.

Source: HL7 v2.5, table 0357; ANS CI-SIS volet "Transmission de documents CDA en HL7v2" 2.1 (198, 199, 900 to 906).
"""

TEXTS = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "198": "Cardinality not respected",
    "199": "HL7 syntax error",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application error",
    "900": "Document version not the latest",
    "901": "Author not allowed",
    "902": "Unknown patient identifier",
    "903": "INS missing in the document",
    "904": "INS different from the document",
    "905": "INS traits incomplete",
    "906": "Other error",
}
"""Second component of ERR-3, and of ERR-5 from 900 on."""

SENTENCES = {
    "0": "Message accepté",
    "100": "Segment absent ou mal placé",
    "101": "Champ obligatoire absent",
    "102": "Valeur d'un type incorrect",
    "103": "Valeur absente de la table de codes",
    "198": "Nombre d'occurrences incorrect",
    "199": "Syntaxe HL7 incorrecte",
    "200": "Type de message non pris en charge",
    "201": "Événement non pris en charge",
    "202": "Mode de traitement (MSH-11) non accepté ici",
    "203": "Version HL7 non prise en charge",
    "204": "Identifiant inconnu",
    "205": "Identifiant déjà utilisé",
    "206": "Enregistrement verrouillé, à renvoyer plus tard",
    "207": "Message refusé par le système",
    "900": "La version du document n'est pas la dernière connue",
    "901": "Auteur non autorisé à remplacer ou supprimer ce document",
    "902": "Identifiant patient inconnu",
    "903": "INS absente du document",
    "904": "INS du message différente de celle du document",
    "905": "Traits de l'INS incomplets",
    "906": "Autre erreur",
}
"""What a French operator reads in ERR-8, or in MSA-3 up to version 2.4."""

RESEND = "Message non enregistré, à renvoyer plus tard"
