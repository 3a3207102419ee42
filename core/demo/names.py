"""Names of people and companies, composed of common parts. They are of nobody in particular."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_LATIN: Final = (
    _words(
        "Aarav Anita Arjun Asha Daniel Deepa Esther Farah George Grace Imran James John Joseph Kavita Lakshmi Manoj "
        "Maria Mary Meena Mohan Neha Nisha Peter Pooja Prakash Priya Rahul Rajesh Ravi Rekha Robert Samuel Sanjay Sara "
        "Sunil Sunita Suresh Thomas Vijay"
    ),
    _words(
        "Ali Banerjee Bose Chauhan Das Desai D'Souza Fernandes Ghosh Gupta Iyer Jacob Jain Joshi Khan Kulkarni Kumar "
        "Mathew Mehta Menon Mishra Nair O'Brien O'Neill Pandey Patel Paul Pillai Rao Reddy Roy Sharma Shetty Singh "
        "Smith Thomas Varghese Verma Williams Yadav"
    ),
)

_SCRIPTS: Final = (
    (
        _words("José Zoë Łukasz Jiří Søren Björn François Müjde Nguyễn Ágnes"),
        _words("García Müller Wójcik Dvořák Jørgensen Åkesson Lefèvre Çelik Trần Németh"),
    ),
    (
        _words("आशा राजेश सुनीता विजय प्रिया मोहन दीपा संजय"),
        _words("कुमार शर्मा वर्मा यादव गुप्ता जोशी पाटिल सिंह"),
    ),
    (
        _words("கவிதா முருகன் லட்சுமி செல்வம் மீனா குமார்"),
        _words("ராஜன் சுப்பிரமணியன் பாண்டியன் நடராஜன் வேலு"),
    ),
    (_words("محمد فاطمة أحمد مريم يوسف خالد ليلى"), _words("حسن علي إبراهيم صالح منصور سليمان")),
    (_words("伟 芳 秀英 敏 静 丽 强 磊"), _words("王 李 张 刘 陈 杨 赵 黄")),
    (_words("Иван Мария Алексей Ольга Дмитрий Елена"), _words("Иванов Кузнецов Попов Соколов Лебедев Новиков")),
)
"""Given and family names: Latin with diacritics, Devanagari, Tamil, Arabic, Chinese, Cyrillic."""

_CHINESE: Final = 4  # the family name comes first, without a space

_EVERY_OTHER_SCRIPT: Final = 4
"""Of this many employees, one has a name in another script."""

_EVERY_FOREIGN: Final = 12
"""The same, in a register of few companies."""

_SPACED: Final = [script for number, script in enumerate(_SCRIPTS) if number != _CHINESE]

_EVERY_BLANK: Final = 97

_ODD: Final = {13: "{given} <b>{family}</b>", 22: "{given} 🌻 {family}"}
"""What people type into a name field, by the employee's serial number."""


def person_name(rng: random.Random, serial: int) -> str:
    """The name of the employee with this number, counted from 0 over the whole register; "" for a few.

    The script depends on the number, so that a small register has all of them.
    """
    turn, other = divmod(serial, _EVERY_OTHER_SCRIPT)
    if serial in _ODD:
        return _ODD[serial].format(given=rng.choice(_LATIN[0]), family=rng.choice(_LATIN[1]))
    if serial % _EVERY_BLANK == _EVERY_BLANK - 60:
        return ""
    if other != _EVERY_OTHER_SCRIPT - 1:
        return f"{rng.choice(_LATIN[0])} {rng.choice(_LATIN[1])}"
    script = turn % len(_SCRIPTS)
    given, family = (rng.choice(part) for part in _SCRIPTS[script])
    return f"{family}{given}" if script == _CHINESE else f"{given} {family}"


def plain_name(rng: random.Random, serial: int) -> str:
    """The name of the employee with this number, as a company writes it that looks after its register: a few in another
    script, none blank or odd."""
    turn, other = divmod(serial, _EVERY_FOREIGN)
    given, family = _LATIN if other != _EVERY_FOREIGN - 1 else _SPACED[turn % len(_SPACED)]
    return f"{rng.choice(given)} {rng.choice(family)}"


_WORDS: Final = _words(
    "Anchor Beacon Cedar Delta D'Souza Eastern Falcon Granite Harbour Indus Jupiter Keystone Lotus Meridian Northgate "
    "Orchid Pioneer Quartz Riverside Summit Trident Union Vanguard Westfield Zenith"
)
_TRADES: Final = (
    "Builders",
    "Catering & Hospitality",
    "Civil Works",
    "Electricals",
    "Engineering Services",
    "Facility Management",
    "Fabrication",
    "Housekeeping",
    "Logistics",
    "Manpower Solutions",
    "Scaffolding",
    "Security Services",
    "Transport",
)
_FORMS: Final = ("Ltd", "Pvt. Ltd.", "& Co.", "& Sons", "LLP", "Group")

_OTHER_COMPANIES: Final = (
    ("Łódzkie", "Północne", "Źródło"),
    ("Usługi Sp. z o.o.", "Montaż S.A."),
    ("शक्ति", "प्रगति", "भारती"),
    ("निर्माण सेवा", "परिवहन"),
    ("恒光", "东方", "新丰"),
    ("工程公司", "物流公司"),
    ("Северный", "Южный", "Речной"),
    ("Монтаж", "Строй"),
)
"""Words and trades in turn, a pair for each script."""

_EVERY_OTHER_COMPANY: Final = 9


def company_names(rng: random.Random, count: int) -> list[str]:
    """This many different names, in the order of their code points, which is the order of the register."""
    seen: Counter[str] = Counter()
    names = []
    for name in _company_names(rng, count):
        seen[name] += 1
        names.append(f"{name} {seen[name]}" if seen[name] > 1 else name)
    return sorted(names)


def _company_names(rng: random.Random, count: int) -> Iterator[str]:
    scripts = len(_OTHER_COMPANIES) // 2
    for number in range(1, count + 1):
        turn, plain = divmod(number, _EVERY_OTHER_COMPANY)
        if plain:
            yield f"{rng.choice(_WORDS)} {rng.choice(_TRADES)} {rng.choice(_FORMS)}"
        else:
            script = turn % scripts * 2
            yield f"{rng.choice(_OTHER_COMPANIES[script])} {rng.choice(_OTHER_COMPANIES[script + 1])}"
