"""Segments that the French extension of IHE PAM adds, and the names of the usual segments of HL7.

Source: IHE PAM France 2.11 (ZBE, ZFA, ZFP, ZFV, ZFM, ZFD, ZFS); CI-SIS CDA in HL7 v2 (PRT); HL7 v2.5.
"""

from __future__ import annotations

Field = tuple[str, str]
"""Name and data type."""

FRENCH: dict[str, tuple[str, dict[int, Field]]] = {
    "ZBE": (
        "Mouvement",
        {
            1: ("Identifiant du mouvement", "EI"),
            2: ("Date et heure effectives du mouvement", "TS"),
            3: ("Fin du mouvement (interdit)", "TS"),
            4: ("Action : INSERT, UPDATE, CANCEL", "ID"),
            5: ("Mouvement historique : Y ou N", "ID"),
            6: ("Événement d'origine du mouvement", "ID"),
            7: ("UF de responsabilité médicale", "XON"),
            8: ("UF de responsabilité de soins", "XON"),
            9: ("Nature du mouvement : S, H, M, L, D, C", "CWE"),
        },
    ),
    "ZFA": (
        "Statut DMP du patient",
        {
            1: ("Statut du DMP : ACTIF, FERME, INEXISTANT", "ID"),
            2: ("Date de recueil du statut", "TS"),
            3: ("Date de fermeture du DMP", "TS"),
            9: ("Opposition à l'alimentation : NA, IO, INO", "ID"),
            10: ("Date de recueil de l'opposition à l'alimentation", "TS"),
            11: ("Consentement à la consultation : NA, INC, IC", "ID"),
            12: ("Date de recueil du consentement à la consultation", "TS"),
        },
    ),
    "ZFP": (
        "Situation professionnelle",
        {1: ("Activité socio-professionnelle (INSEE)", "IS"), 2: ("Catégorie socio-professionnelle (INSEE)", "IS")},
    ),
    "ZFV": (
        "Complément d'information sur la venue",
        {
            1: ("Établissement de provenance et date du dernier séjour", "DLD"),
            2: ("Transport de sortie", "CE"),
            4: ("Date de début de placement (psychiatrie)", "TS"),
            5: ("Date de fin de placement (psychiatrie)", "TS"),
            6: ("Adresse de la provenance ou de la destination", "XAD"),
            7: ("Numéro de dossier dans l'établissement de provenance", "CX"),
            8: ("Numéro d'archives", "CX"),
            9: ("Mode de sortie personnalisé", "CWE"),
            11: ("Soins pendant le transport : MED, PARAMED, AUCUN", "ID"),
        },
    ),
    "ZFM": (
        "Mouvement PMSI",
        {
            1: ("Mode d'entrée PMSI", "IS"),
            2: ("Mode de sortie PMSI", "IS"),
            3: ("Provenance PMSI", "IS"),
            4: ("Destination PMSI", "IS"),
            5: ("Passage par les urgences", "IS"),
        },
    ),
    "ZFD": (
        "Complément démographique",
        {
            1: ("Date de naissance lunaire", "NA"),
            2: ("Nombre de semaines de gestation", "NM"),
            3: ("Consentement aux SMS : Y ou N", "ID"),
            4: ("Date de naissance corrigée : Y ou N", "ID"),
            5: ("Mode d'obtention de l'identité", "ID"),
            6: ("Date d'interrogation du téléservice INSi", "TS"),
            7: ("Type de justificatif d'identité", "ID"),
            8: ("Date de fin de validité du justificatif", "DT"),
        },
    ),
    "ZFS": (
        "Mode légal de soins en psychiatrie",
        {
            1: ("Rang", "SI"),
            2: ("Identifiant du mode légal", "EI"),
            3: ("Début", "TS"),
            4: ("Fin", "TS"),
            5: ("Action : INSERT, UPDATE, CANCEL", "ID"),
            6: ("Mode légal de soins", "CWE"),
            7: ("Code RIM-P", "CNE"),
            8: ("Commentaire", "FT"),
        },
    ),
}

SEGMENTS = {
    "ACC": "Accident", "AL1": "Patient allergy information", "BHS": "Batch header", "BTS": "Batch trailer",
    "DG1": "Diagnosis", "DSC": "Continuation pointer", "ERR": "Error", "EVN": "Event type", "FHS": "File header",
    "FT1": "Financial transaction", "FTS": "File trailer", "GT1": "Guarantor", "IN1": "Insurance",
    "IN2": "Insurance additional information", "IN3": "Insurance additional information, certification",
    "MRG": "Merge patient information", "MSA": "Message acknowledgment", "MSH": "Message header",
    "NK1": "Next of kin", "NTE": "Notes and comments", "OBR": "Observation request", "OBX": "Observation/result",
    "ORC": "Common order", "PD1": "Patient additional demographic", "PID": "Patient identification",
    "PR1": "Procedures", "PRT": "Participation", "PV1": "Patient visit", "PV2": "Patient visit, additional information",
    "ROL": "Role", "SFT": "Software", "SPM": "Specimen", "TQ1": "Timing/quantity", "TXA": "Document notification",
}  # fmt: skip
