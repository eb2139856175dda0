"""The package for an org, the simulated org and what the connector writes are one."""

import json
from xml.etree import ElementTree

import pytest
from crm_connector.salesforce.errors import STAGE_CONFLICT
from crm_connector.salesforce.objects import OWN_FIELDS, WRITTEN, subject_objects
from crm_connector.salesforce.preflight import EVIDENCE_FIELDS
from sandbox.salesforce import schema

from tools import salesforce
from tools.salesforce import TARGET

NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
DOCUMENTS = sorted(TARGET.rglob("*.xml"))


def parts(path):
    """The simple parts of a metadata file by name."""
    return {part.tag.removeprefix(NAMESPACE): part.text for part in ElementTree.parse(path).getroot()}


FIELDS = {
    (path.parent.parent.name, (part := parts(path))["fullName"]): part for path in TARGET.rglob("*.field-meta.xml")
}


def test_the_files_are_in_step():
    assert salesforce.files() == {
        str(path.relative_to(TARGET)): path.read_text()
        for path in TARGET.rglob("*")
        if path.is_file() and path.name != "README.md"
    }


def test_the_package_brings_every_field_that_the_simulated_org_has_of_its_own():
    named = {obj.name: obj for obj in salesforce.OBJECTS}
    named |= dict.fromkeys(["Activity"], schema.TASK)
    assert set(FIELDS) == {(name, field.name) for name, obj in named.items() for field in obj.fields if field.custom}


def test_tasks_and_meetings_have_the_same_fields_of_ours():
    assert salesforce.custom(schema.TASK) == salesforce.custom(schema.EVENT)


@pytest.mark.parametrize("key", FIELDS, ids=".".join)
def test_a_field_is_as_wide_as_the_simulated_org_takes_it(key):
    found, field = FIELDS[key], schema.find_object("Task" if key[0] == "Activity" else key[0]).find(key[1])
    assert found.get("length") == (str(field.length) if field.kind in ("string", "textarea") else None)
    numeric = field.kind in schema.NUMBERS
    assert found.get("precision") == (str(field.precision) if numeric else None)
    assert found.get("scale") == (str(field.scale) if numeric else None)
    assert (found.get("unique") == "true") == field.unique
    assert (found.get("externalId") == "true") == field.external_id
    assert found.get("referenceTo") == field.refers_to
    # Salesforce's own bounds.
    assert int(found.get("precision", 0)) <= 18
    assert len(field.name.removesuffix("__c")) <= 40


def test_what_is_written_is_there_and_may_be_written():
    subjects = subject_objects(account_stage="Type").values()
    written = {**EVIDENCE_FIELDS, **{each.name: each.written_fields for each in subjects}}
    root = ElementTree.parse(next(TARGET.rglob("Stagecraft_Integration.permissionset-meta.xml"))).getroot()
    allowed = {
        entry.find(f"{NAMESPACE}field").text
        for entry in root.findall(f"{NAMESPACE}fieldPermissions")
        if entry.find(f"{NAMESPACE}editable").text == "true"
    }
    for name, fields in written.items():
        for field in fields:
            if (name, field) in FIELDS:
                # Rights on required fields come with the object.
                assert (
                    FIELDS[name, field].get("required") == "true"
                    or "MasterDetail" in FIELDS[name, field]["type"]
                    or (f"{name}.{field}" in allowed)
                )
            else:
                assert not schema.find_object(name).find(field).custom
    assert OWN_FIELDS == {field for name, field in FIELDS if name == "Opportunity"}
    for each in subjects:
        assert set(WRITTEN) <= {field for name, field in FIELDS if name == each.name}


def test_the_rule_says_what_the_connector_looks_for():
    rules = {path.parent.parent.name: parts(path) for path in TARGET.rglob("*.validationRule-meta.xml")}
    assert rules.keys() == schema.STAGE_FIELDS.keys()
    for name, rule in rules.items():
        assert rule["errorMessage"] == STAGE_CONFLICT
        assert rule["active"] == "true"
        assert rule["errorConditionFormula"].count("(") == rule["errorConditionFormula"].count(")")
        assert f"PRIORVALUE({schema.STAGE_FIELDS[name]})" in rule["errorConditionFormula"]


def test_the_rule_of_accounts_names_the_field_that_the_org_keeps_their_stage_in():
    (path,) = (name for name in salesforce.files() if "Account/validationRules" in name)
    assert "PRIORVALUE(Lifecycle__c)" in salesforce.files("Lifecycle__c")[path]


def test_the_manifest_names_every_part():
    root = ElementTree.parse(TARGET / "manifest" / "package.xml").getroot()
    named = {member.text for member in root.iter(f"{NAMESPACE}members")}
    assert {".".join(key) for key in FIELDS} <= named
    project = json.loads((TARGET / "sfdx-project.json").read_text())
    assert (TARGET / project["packageDirectories"][0]["path"]).is_dir()


def test_the_package_selects_every_entity_that_is_followed():
    entities = {parts(path)["selectedEntity"] for path in TARGET.rglob("*.platformEventChannelMember-meta.xml")}
    assert entities == {f"{obj.name}ChangeEvent" for obj in schema.FOLLOWED}


def test_what_is_read_may_be_read_and_not_edited():
    root = ElementTree.parse(next(TARGET.rglob("Stagecraft_Integration.permissionset-meta.xml"))).getroot()
    rights = {
        entry.find(f"{NAMESPACE}object").text: {part.tag.removeprefix(NAMESPACE): part.text for part in entry}
        for entry in root.findall(f"{NAMESPACE}objectPermissions")
    }
    assert rights["Contact"]["allowRead"] == "true"
    assert rights["Contact"]["allowEdit"] == "false"
    assert rights["Account"]["allowEdit"] == "true"
    assert {name for name, right in rights.items() if right["viewAllRecords"] == "true"} == {
        "Account", "Lead", "Opportunity",
    }  # fmt: skip
