"""Cultures drawn by hypothesis: germs with their count, and the susceptibility tests that hang on them."""

from hypothesis import strategies as st

GERMS = [
    "112283007^Escherichia coli^SCT^ECO^Escherichia coli^L",
    "^Enterococcus faecalis^^EFA^Enterococcus faecalis^L",
    "SAUR^Staphylococcus aureus^L",
    "^Candida sp. (levure)",
]
ANTIBIOTICS = [
    "AMX^Amoxicilline^L^28-1^Ampicillin^LN",
    "GEN^Gentamicine^L^267-5^Gentamicin^LN",
    "FOS^Fosfomycine^L",
    "18862-3^Amoxicilline-acide clavulanique^LN",
]
_CULTURE = "ECBU^Examen cytobactériologique des urines^L^630-4^Bacteria identified in Urine by Culture^LN"
_GERM = "GERME^Germe identifié^L^630-4^Bacteria identified in Urine by Culture^LN"
_COUNT = "NUM^Numération^L^51480-2^Bacteria [#/volume] in Urine^LN"
_TESTS = "ATB^Antibiogramme^L^18769-0^Microbial susceptibility tests Set^LN"
_CATEGORIES = ["S", "I", "R", "SDD", "MS"]


def _obx(number: int, kind: str, test: str, sub: str, value: str, unit: str = "", flag: str = "") -> str:
    return f"OBX|{number}|{kind}|{test}|{sub}|{value}|{unit}||{flag}|||F|||20260310071500"


@st.composite
def cultures(draw: st.DrawFn, first: int, request: list[str]) -> list[str]:
    """A culture and its susceptibility tests. first: number of its order; request: fields of an OBR to begin with."""
    count = draw(st.integers(0, 3))
    germs = draw(st.lists(st.sampled_from(GERMS), min_size=count, max_size=count, unique=True))
    fields = [*request]
    fields[1:5] = [str(first), f"DPI-{first}^DPI", f"LAB-{first}^SGL", _CULTURE]
    fields[24:26] = ["MB", "F"]
    lines = ["|".join(fields)]
    if not germs or draw(st.booleans()):
        lines.append(_obx(1, "TX", "GRAM^Coloration de Gram^L^653-6^Microscopic observation^LN", "", "Rares bacilles"))
    for rank, germ in enumerate(germs, 1):
        lines.append(_obx(len(lines), "CWE", _GERM, str(rank), germ))
        if draw(st.booleans()):
            lines.append(f"NTE|1|L|Souche n° {rank} : à surveiller")
        if draw(st.booleans()):
            lines.append(
                _obx(len(lines), "SN", _COUNT, str(rank), draw(st.sampled_from([">=^1000000", "^10000"])), "UFC/mL")
            )
    for rank, germ in enumerate(germs, 1):
        if draw(st.booleans()):
            lines += draw(_susceptibility(first, rank, germ, fields))
    return lines


@st.composite
def _susceptibility(draw: st.DrawFn, first: int, rank: int, germ: str, culture: list[str]) -> list[str]:
    fields = [*culture]
    order = f"LAB-{first}-{rank}^SGL"
    fields[1:5] = [str(first + rank), f"DPI-{first}^DPI", order, _TESTS]
    fields += [""] * (30 - len(fields))
    name = next(part for part in germ.split("^")[1:] if part)
    fields[26] = f"GERME&Germe identifié&L^{rank}^{name}"
    fields[29] = f"DPI-{first}&DPI^LAB-{first}&SGL"
    lines = ["|".join(fields)]
    chosen = draw(st.lists(st.sampled_from(ANTIBIOTICS), min_size=1, max_size=len(ANTIBIOTICS), unique=True))
    for number, antibiotic in enumerate(chosen, 1):
        category = draw(st.sampled_from(_CATEGORIES))
        form = draw(st.sampled_from(["NM", "SN", "ST", "CWE"]))
        value, unit, flag = {
            "NM": ("0.50", "mg/L", category),
            "SN": (draw(st.sampled_from([">^32", "<=^0.25"])), "mg/L", category),
            "ST": (category, "", ""),
            "CWE": (f"{category}^Catégorie {category}^L", "", ""),
        }[form]
        lines.append(_obx(number, form, antibiotic, "", value, unit, flag))
    if draw(st.booleans()):
        lines.append("NTE|1|L|Interprétation selon le CA-SFM.")
    return lines
