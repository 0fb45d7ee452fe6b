"""Names of the standards: namespaces, identifiers of metadata attributes, statuses.

Source: IHE ITI TF-2 3.41, 3.18, 3.57; ITI TF-3 4.2; ebRS 3.0; WS-Security, SAML 2.0, XML-DSig, XAdES 1.1.1; DMPi.
"""

from __future__ import annotations

SOAP = "http://www.w3.org/2003/05/soap-envelope"
WSA = "http://www.w3.org/2005/08/addressing"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
DS = "http://www.w3.org/2000/09/xmldsig#"
XAD = "http://uri.etsi.org/01903/v1.1.1#"
XDS = "urn:ihe:iti:xds-b:2007"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
XOP = "http://www.w3.org/2004/08/xop/include"
HL7 = "urn:hl7-org:v3"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XML = "http://www.w3.org/XML/1998/namespace"

NAMESPACES = {
    "soap": SOAP, "wsa": WSA, "wsse": WSSE, "saml": SAML, "ds": DS, "xad": XAD, "xds": XDS, "lcm": LCM, "rim": RIM,
    "rs": RS, "query": QUERY, "xop": XOP, "hl7": HL7,
}  # fmt: skip

# services: the end of the path, the element of the body, the action
REPOSITORY, REGISTRY, PATIENTS = "repository", "registry", "patients"
ITI_41 = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
ITI_18 = "urn:ihe:iti:2007:RegistryStoredQuery"
ITI_57 = "urn:ihe:iti:2010:UpdateDocumentSet"
TD0_2 = "urn:hl7-org:v3:PRPA_IN201307UV02"

# SubmissionSet
SET_NODE = "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"
SET_AUTHOR = "urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d"
SET_CONTENT_TYPE = "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500"
SET_PATIENT = "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446"
SET_SOURCE = "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832"
SET_UNIQUE = "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8"

# DocumentEntry
ENTRY_TYPE = "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"
AUTHOR = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d"
CLASS = "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a"
TYPE = "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983"
FORMAT = "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d"
CONFIDENTIALITY = "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f"
FACILITY = "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1"
PRACTICE = "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead"
EVENT = "urn:uuid:2c6b8cb7-8b2a-4051-b291-b1ae6a575ef4"
ENTRY_PATIENT = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427"
ENTRY_UNIQUE = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"
CODED = {
    CLASS: "classCode", TYPE: "typeCode", FORMAT: "formatCode", CONFIDENTIALITY: "confidentialityCode",
    FACILITY: "healthcareFacilityTypeCode", PRACTICE: "practiceSettingCode", EVENT: "eventCodeList",
    SET_CONTENT_TYPE: "contentTypeCode",
}  # fmt: skip
REFERENCE_IDS = "urn:ihe:iti:xds:2013:referenceIdList"

# associations, statuses
HAS_MEMBER = "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember"
SIGNS = "urn:ihe:iti:2007:AssociationType:signs"
REPLACES = "urn:ihe:iti:2007:AssociationType:RPLC"
UPDATE_STATUS = "urn:ihe:iti:2010:AssociationType:UpdateAvailabilityStatus"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"
DELETED = "urn:asip:ci-sis:2010:StatusType:Deleted"
ANSWER = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:"
SEVERITY = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:"

# stored queries
GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"

# OIDs
INS_TEST = ("1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.11")
INS_PRODUCTION = ("1.2.250.1.213.1.4.8", "1.2.250.1.213.1.4.9")
PROFESSIONALS = "1.2.250.1.71.4.2.1"
STRUCTURES = "1.2.250.1.71.4.2.2"
DMP_DEVICE = "1.2.250.1.213.4.1.1.1"
DMP_REPOSITORY = "1.2.250.1.213.4.1.1.1.2"
PURPOSE_SOURCE = "1.2.840.10065.1.12.1.14"
INTERACTIONS = "2.16.840.1.113883.1.6"
