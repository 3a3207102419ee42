"""What a backup of the parcels holds."""

from typing import Final

from recordsync.model.fields import Boolean, Date, Decimal, Integer, Json, Text, Timestamp, Uuid
from recordsync.model.schema import Field, Model, Schema

_CODE: Final = Text(min_length=1, max_length=20)
_NUMBER: Final = Integer(-(2**31), 2**31 - 1)

DEPOTS: Final = Model(
    "depots", "parcels.Depot", (Field("code", _CODE),), (Field("note", Text(max_length=200)),), {"note": ("note",)}
)
CARRIERS: Final = Model("carriers", "parcels.Carrier", (Field("name", Text(min_length=1, max_length=40)),))
DELIVERIES: Final = Model(
    "deliveries",
    "parcels.Delivery",
    (
        Field("depot", _CODE, references="depots"),
        Field("carrier_name", Text(min_length=1, max_length=40), column="carrier", references="carriers"),
        Field("day", Date()),
        Field("number", _NUMBER),
    ),
    (
        Field("weight", Decimal(9, 3, nullable=True)),
        Field("express", Boolean(), column="is_express"),
        Field("tracking", Uuid(nullable=True)),
        Field("arrived_at", Timestamp(nullable=True)),
        Field("details", Json(nullable=True)),
        Field("attempts", Integer(nullable=True), later=True),
    ),
    {
        "load": ("weight", "express"),
        "tracking": ("tracking", "arrived_at"),
        "details": ("details",),
        "attempts": ("attempts",),
    },
    partition=("depot", "carrier_name", "day"),
)
TRANSFERS: Final = Model(
    "transfers",
    "parcels.Transfer",
    (
        Field("day", Date()),
        Field("origin", _CODE, references="depots"),
        Field("target", _CODE, references="depots"),
    ),
    (Field("parcels", _NUMBER),),
    {"parcels": ("parcels",)},
    partition=("day",),
)
TARIFFS: Final = Model(
    "tariffs",
    "parcels.Tariff",
    (
        Field("zone", Integer()),
        Field("limit", Decimal(15, 4)),
        Field("is_express", Boolean()),
        Field("contract", Uuid()),
        Field("since", Timestamp()),
    ),
    (Field("price", Decimal(15, 2)),),
    {"price": ("price",)},
)
SCHEMA: Final = Schema((DEPOTS, CARRIERS, DELIVERIES, TRANSFERS, TARIFFS))
