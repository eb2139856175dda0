"""Describe results: the declaration of an object in Salesforce's words."""

from typing import Any

from sandbox.salesforce import schema
from sandbox.salesforce.access import Access
from sandbox.salesforce.rules import Record
from sandbox.salesforce.schema import Field, SObject

_SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int",
    "date": "xsd:date", "datetime": "xsd:dateTime",
    "currency": "xsd:double", "double": "xsd:double", "percent": "xsd:double",
}  # fmt: skip


def summary(obj: SObject, version: str) -> dict[str, Any]:
    """What the list of objects says of one."""
    base = f"/services/data/v{version}/sobjects/{obj.name}"
    return {
        "name": obj.name,
        "label": obj.label,
        "labelPlural": obj.plural,
        "keyPrefix": obj.prefix,
        "custom": obj.name.endswith("__c"),
        "customSetting": False,
        "createable": obj.writable,
        "updateable": obj.writable,
        "deletable": obj.writable and obj is not schema.USER,
        "undeletable": False,
        "queryable": True,
        "retrieveable": True,
        "replicateable": obj.find("SystemModstamp") is not None,
        "searchable": obj.writable,
        "triggerable": obj.writable,
        "layoutable": obj.writable,
        "mergeable": False,
        "urls": {
            "sobject": base,
            "describe": f"{base}/describe",
            "rowTemplate": f"{base}/{{ID}}",
        },
    }


def describe(obj: SObject, stages: list[Record], version: str, access: Access) -> dict[str, Any]:
    """The full description; `stages` are the rows of OpportunityStage, or of LeadStatus, in sort order."""
    return {
        **summary(obj, version),
        "fields": [_field(obj, f, stages, access) for f in obj.fields if access.may_see(obj, f)],
        "childRelationships": [
            {
                "childSObject": child.name,
                "field": f.name,
                "relationshipName": f.children,
                "cascadeDelete": f.cascade,
                "restrictedDelete": not f.cascade,
                "deprecatedAndHidden": False,
            }
            for child, f in schema.children_of(obj)
        ],
        "recordTypeInfos": [
            {
                "active": True,
                "available": True,
                "defaultRecordTypeMapping": True,
                "developerName": "Master",
                "master": True,
                "name": "Master",
                "recordTypeId": "012000000000000AAA",
            }
        ],
    }


def _field(obj: SObject, field: Field, stages: list[Record], access: Access) -> dict[str, Any]:
    writable = field.writable and obj.writable and access.may_edit(obj, field)
    numeric = field.kind in schema.NUMBERS
    return {
        "name": field.name,
        "label": field.label,
        "type": field.kind,
        "soapType": _SOAP.get(field.kind, "xsd:string"),
        "length": field.length,
        "byteLength": field.length * 3,
        "precision": field.precision if numeric and field.kind != "int" else 0,
        "digits": field.precision if field.kind == "int" else 0,
        "scale": field.scale,
        "custom": field.custom,
        "createable": writable,
        "updateable": writable and field.updateable,
        "nillable": not field.required and field.kind not in {"boolean", "id"},
        "defaultedOnCreate": field.kind in {"boolean", "id"} or not field.writable,
        "calculated": False,
        "autoNumber": obj.auto_number is not None and field.name == "Name",
        "nameField": field.name == "Name",
        "idLookup": field.kind == "id" or field.external_id,
        "externalId": field.external_id,
        "unique": field.unique,
        "caseSensitive": field.unique,
        "filterable": field.searchable,
        "sortable": field.searchable,
        "groupable": field.searchable and not numeric,
        "aggregatable": field.searchable,
        "permissionable": field.custom and not field.required,
        "restrictedPicklist": field.restricted,
        "dependentPicklist": False,
        "picklistValues": _values(field, stages),
        "referenceTo": list(field.targets),
        "relationshipName": field.relationship,
        "relationshipOrder": 0 if field.master else None,
        "cascadeDelete": field.master,
        "restrictedDelete": False,
        "writeRequiresMasterRead": False,
        "defaultValue": False if field.kind == "boolean" else None,
        "deprecatedAndHidden": False,
        "encrypted": False,
        "htmlFormatted": False,
        "inlineHelpText": None,
        "compoundFieldName": None,
        "controllerName": None,
    }


def _values(field: Field, stages: list[Record]) -> list[dict[str, Any]]:
    pairs = [(value, value, True) for value in field.values]
    if field.name in ("StageName", "Status") and not field.values:
        pairs = [(s["ApiName"], s["MasterLabel"], s.get("IsActive", True)) for s in stages]
    if field.name == "ForecastCategory":
        pairs = [(v, v, True) for v in ("Omitted", "Pipeline", "BestCase", "Forecast", "Closed")]
    return [
        {"active": active, "defaultValue": False, "label": label, "validFor": None, "value": value}
        for value, label, active in pairs
    ]
