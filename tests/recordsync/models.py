"""The declared models, changed as a later version of the project would have them."""

from dataclasses import replace

from recordsync.model.schema import Model


def later_fields(model: Model, *names: str) -> Model:
    """The model, in which these fields came later."""
    return replace(model, fields=tuple(replace(field, later=field.name in names) for field in model.fields))


def without_fields(model: Model, *names: str) -> Model:
    """The model before it had these fields, each of which is a unit of its own or merges with others of them."""
    units = {unit: members for unit, members in model.units.items() if not set(members) & set(names)}
    return replace(model, fields=tuple(field for field in model.fields if field.name not in names), units=units)
