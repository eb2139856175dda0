"""Write deploy/salesforce, what an administrator installs in an org: fields, objects, the rule of compare-and-set, and
the rights of the integration user. It is made from the declaration that the simulated org runs on, so both are one.

python tools/salesforce.py            write the files
python tools/salesforce.py --check    exit with 1 when they are out of step
python tools/salesforce.py --account-stage Lifecycle__c    where another field than Type holds the stage of accounts
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from sandbox.salesforce import schema
from sandbox.salesforce.rules import STAGE_CONFLICT
from sandbox.salesforce.schema import Field, SObject

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "deploy" / "salesforce"
API_VERSION = "67.0"
SUBJECTS = (schema.OPPORTUNITY, schema.LEAD, schema.ACCOUNT)
OBJECTS = (*SUBJECTS, schema.ASSESSMENT, schema.ANSWER)
# Tasks and meetings have their custom fields in common.
ACTIVITY = "Activity"
ACTIVITIES = (schema.TASK, schema.EVENT)
# Read for facts; a user who may see an opportunity may see its contact roles.
READ_ONLY = (schema.CONTACT, schema.CAMPAIGN)
# Change events come only to a user who may see all records.
SEEN_WHOLE = SUBJECTS
_NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
_BASE = "force-app/main/default"
_LONG = 255
_MEMBERS = {f"ChangeEvents_{obj.name}ChangeEvent": f"{obj.name}ChangeEvent" for obj in schema.FOLLOWED}
_RULE = f"""
    <fullName>Stagecraft_Stage_Conflict</fullName>
    <active>true</active>
    <description>Refuses a write of Stagecraft when the stage is not the one that it may replace.</description>
    <errorConditionFormula>AND(
  ISCHANGED(Stagecraft_Write_Id__c),
  NOT(ISBLANK(Stagecraft_Expected_Stage__c)),
  TEXT(PRIORVALUE({{stage}})) &lt;&gt; Stagecraft_Expected_Stage__c
)</errorConditionFormula>
    <errorMessage>{STAGE_CONFLICT}</errorMessage>
"""


def files(account_stage: str = schema.STAGE_FIELDS["Account"]) -> dict[str, str]:
    """Every file of the package by its path, for an org whose field `account_stage` holds the stage of accounts."""
    found = {
        "sfdx-project.json": _json(
            {
                "packageDirectories": [{"path": "force-app", "default": True}],
                "sourceApiVersion": API_VERSION,
            }
        ),
        "manifest/package.xml": _manifest(),
        f"{_BASE}/permissionsets/Stagecraft_Integration.permissionset-meta.xml": _permissions(),
        f"{_BASE}/permissionsets/Stagecraft_Activities.permissionset-meta.xml": _all_data(),
    }
    for member, entity in _MEMBERS.items():
        body = "\n    <eventChannel>ChangeEvents</eventChannel>" + f"\n    <selectedEntity>{entity}</selectedEntity>\n"
        path = f"{_BASE}/platformEventChannelMembers/{member}.platformEventChannelMember-meta.xml"
        found[path] = _document("PlatformEventChannelMember", body)
    for obj in SUBJECTS:
        path = f"{_BASE}/objects/{obj.name}/validationRules/Stagecraft_Stage_Conflict.validationRule-meta.xml"
        found[path] = _document("ValidationRule", rule(obj, account_stage))
    for field in custom(schema.TASK):
        found[f"{_BASE}/objects/{ACTIVITY}/fields/{field.name}.field-meta.xml"] = _field(schema.TASK, field)
    for obj in OBJECTS:
        folder = f"{_BASE}/objects/{obj.name}"
        if obj.name.endswith("__c"):
            found[f"{folder}/{obj.name}.object-meta.xml"] = _object(obj)
        for field in custom(obj):
            found[f"{folder}/fields/{field.name}.field-meta.xml"] = _field(obj, field)
    return found


def rule(obj: SObject, account_stage: str) -> str:
    """The rule of compare-and-set of one object."""
    return _RULE.format(stage=account_stage if obj is schema.ACCOUNT else schema.STAGE_FIELDS[obj.name])


def custom(obj: SObject) -> list[Field]:
    """The fields of the object that the package brings."""
    return [field for field in obj.fields if field.custom]


def _field(obj: SObject, field: Field) -> str:
    return _document("CustomField", "\n" + "".join(f"    {line}\n" for line in _lines(obj, field)))


def _lines(obj: SObject, field: Field) -> Iterator[str]:
    yield _tag("fullName", field.name)
    yield _tag("label", field.label)
    if field.external_id:
        yield _tag("externalId", "true")
    if field.kind == "boolean":
        yield _tag("defaultValue", "false")
    if field.kind in ("string", "textarea") and field.length:
        yield _tag("length", field.length)
    if field.kind in schema.NUMBERS:
        yield _tag("precision", field.precision)
        yield _tag("scale", field.scale)
    if field.refers_to:
        yield _tag("referenceTo", field.refers_to)
        yield _tag("relationshipLabel", (field.children or obj.plural).removesuffix("__r").replace("_", " "))
        yield _tag("relationshipName", (field.children or obj.name.removesuffix("__c") + "s").removesuffix("__r"))
    if field.master:
        yield _tag("relationshipOrder", 0)
        yield _tag("reparentableMasterDetail", "false")
        yield _tag("writeRequiresMasterRead", "false")
    elif field.kind not in ("boolean", "textarea"):
        yield _tag("required", str(field.required).lower())
    yield _tag("type", _type(field))
    if field.unique:
        yield _tag("unique", "true")
        yield _tag("caseSensitive", "true")
    if field.kind == "textarea":
        yield _tag("visibleLines", 5)


def _type(field: Field) -> str:
    match field.kind:
        case "textarea":
            return "LongTextArea" if field.length > _LONG else "TextArea"
        case "reference":
            return "MasterDetail" if field.master else "Lookup"
        case kind:
            return {"string": "Text", "boolean": "Checkbox", "double": "Number", "date": "Date", "datetime": "DateTime",
                    "url": "Url"}[kind]  # fmt: skip


def _object(obj: SObject) -> str:
    pattern = (obj.auto_number or "").split("{")[0]
    return _document(
        "CustomObject",
        f"""
    {_tag("deploymentStatus", "Deployed")}
    {_tag("label", obj.label)}
    <nameField>
        {_tag("displayFormat", pattern + "{00000000}")}
        {_tag("label", "Name")}
        {_tag("type", "AutoNumber")}
    </nameField>
    {_tag("pluralLabel", obj.plural)}
    {_tag("sharingModel", "ControlledByParent")}
""",
    )


def _permissions() -> str:
    body = "\n"
    for obj in (*OBJECTS, *ACTIVITIES):
        # Required and master-detail fields cannot be named: whoever may edit the object may edit them.
        for field in (each for each in custom(obj) if not each.required):
            body += _section("fieldPermissions", editable="true", field=f"{obj.name}.{field.name}", readable="true")
    # Of the standard fields that are read only this one can be hidden; the others every org requires.
    body += _section("fieldPermissions", editable="false", field="Opportunity.Amount", readable="true")
    body += f"    {_tag('hasActivationRequired', 'false')}\n    {_tag('label', 'Stagecraft Integration')}\n"
    for obj in sorted((*OBJECTS, *READ_ONLY), key=lambda each: each.name):
        body += _section(
            "objectPermissions",
            allowCreate=str(obj.name.endswith("__c")).lower(),
            allowDelete="false",
            allowEdit=str(obj in OBJECTS).lower(),
            allowRead="true",
            modifyAllRecords="false",
            object=obj.name,
            viewAllRecords=str(obj in SEEN_WHOLE).lower(),
        )
    body += "".join(
        _section("userPermissions", enabled="true", name=name)
        for name in ("ApiEnabled", "EditEvent", "EditTask", "ViewAllUsers")
    )
    return _document("PermissionSet", body)


def _all_data() -> str:
    """Change events of tasks and meetings come only to a user who may see all data."""
    body = f"\n    {_tag('hasActivationRequired', 'false')}\n    {_tag('label', 'Stagecraft Activities')}\n"
    return _document("PermissionSet", body + _section("userPermissions", enabled="true", name="ViewAllData"))


def _manifest() -> str:
    kinds = {
        "CustomField": [
            *(f"{ACTIVITY}.{field.name}" for field in custom(schema.TASK)),
            *(f"{obj.name}.{field.name}" for obj in OBJECTS for field in custom(obj)),
        ],
        "CustomObject": [obj.name for obj in OBJECTS if obj.name.endswith("__c")],
        "PermissionSet": ["Stagecraft_Activities", "Stagecraft_Integration"],
        "PlatformEventChannelMember": list(_MEMBERS),
        "ValidationRule": [f"{obj.name}.Stagecraft_Stage_Conflict" for obj in SUBJECTS],
    }
    body = "\n"
    for kind, members in kinds.items():
        listed = "".join(f"        {_tag('members', member)}\n" for member in sorted(members))
        body += f"    <types>\n{listed}        {_tag('name', kind)}\n    </types>\n"
    return _document("Package", f"{body}    {_tag('version', API_VERSION)}\n")


def _section(_name: str, **parts: str) -> str:
    inside = "".join(f"        {_tag(name, value)}\n" for name, value in parts.items())
    return f"    <{_name}>\n{inside}    </{_name}>\n"


def _tag(name: str, value: object) -> str:
    return f"<{name}>{escape(str(value))}</{name}>"


def _document(kind: str, body: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind} xmlns="{_NAMESPACE}">{body}</{kind}>\n'


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def main() -> int:
    """Write or check the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--account-stage", default=schema.STAGE_FIELDS["Account"])
    given = parser.parse_args()
    wanted = files(given.account_stage)
    there = {str(path.relative_to(TARGET)) for path in TARGET.rglob("*") if path.is_file() and path.name != "README.md"}
    stale = sorted(there - wanted.keys())
    changed = [name for name, text in wanted.items() if name not in there or (TARGET / name).read_text() != text]
    if given.check:
        print("\n".join(["out of step:", *stale, *changed]) if stale or changed else "in step")
        return 1 if stale or changed else 0
    for name in stale:
        (TARGET / name).unlink()
    for name in changed:
        (TARGET / name).parent.mkdir(parents=True, exist_ok=True)
        (TARGET / name).write_text(wanted[name])
    print(f"{len(wanted)} files in {TARGET.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
