"""Leads, activities, contacts and what belongs to them, as the org declares them."""

from sandbox.salesforce.fields import (
    HIDDEN_STAMPS,
    IDENTITY,
    STAMPS,
    Field,
    SObject,
    key,
    long_text,
    lookup,
    picklist,
    system,
    text,
    written,
)

_PERSON = (text("FirstName", 40), text("LastName", 80, required=True), Field("Name", length=121, writable=False))
_OWNER = lookup("OwnerId", "User", "Owner")

# The action that asked for it.
ACTION = key("Stagecraft_Action_Id__c", 36, required=False)

RECORD_TYPE = SObject(
    "RecordType", "012", "Record Type", "Record Types",
    (
        IDENTITY,
        text("Name", 80, required=True),
        text("DeveloperName", 80, required=True),
        text("SobjectType", 40, required=True),
        Field("IsActive", "boolean"),
        *STAMPS,
        Field("SystemModstamp", "datetime", writable=False, in_events=False),
    ),
    writable=False,
)  # fmt: skip

CAMPAIGN = SObject(
    "Campaign", "701", "Campaign", "Campaigns",
    (IDENTITY, text("Name", 80, required=True), Field("IsActive", "boolean"), _OWNER, *STAMPS, *HIDDEN_STAMPS),
)  # fmt: skip

CONTACT = SObject(
    "Contact", "003", "Contact", "Contacts",
    (
        IDENTITY,
        *_PERSON,
        lookup("AccountId", "Account", "Account", "Contacts"),
        Field("Email", "email", length=80),
        Field("Phone", "phone", length=40),
        text("Title", 128),
        _OWNER,
        *STAMPS,
        *HIDDEN_STAMPS,
    ),
)  # fmt: skip

CONTACT_ROLE = SObject(
    "OpportunityContactRole", "00K", "Opportunity Contact Role", "Opportunity Contact Roles",
    (
        IDENTITY,
        lookup("OpportunityId", "Opportunity", "Opportunity", "OpportunityContactRoles", cascade=True),
        lookup("ContactId", "Contact", "Contact", "OpportunityContactRoles", cascade=True),
        picklist("Role", "Business User", "Decision Maker", "Economic Buyer", "Executive Sponsor", "Other"),
        Field("IsPrimary", "boolean"),
        *STAMPS,
        *HIDDEN_STAMPS,
    ),
)  # fmt: skip

LEAD = SObject(
    "Lead", "00Q", "Lead", "Leads",
    (
        IDENTITY,
        lookup("RecordTypeId", "RecordType", "RecordType"),
        *_PERSON,
        text("Company", 255, required=True),
        text("Title", 128),
        Field("Email", "email", length=80),
        Field("Phone", "phone", length=40),
        Field("Status", "picklist", length=255, required=True),
        picklist("LeadSource", "Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
        picklist("Industry"),
        picklist("Rating", "Hot", "Warm", "Cold", restricted=True),
        Field("NumberOfEmployees", "int", precision=8),
        Field("AnnualRevenue", "currency"),
        text("City", 40),
        text("Country", 80),
        long_text("Description", 32000),
        text("Stagecraft_Lead_Kind__c", 255),
        ACTION,
        system("IsConverted", "boolean"),
        system("ConvertedDate", "date"),
        lookup("ConvertedAccountId", "Account", "ConvertedAccount"),
        lookup("ConvertedOpportunityId", "Opportunity", "ConvertedOpportunity"),
        _OWNER,
        *STAMPS,
        system("LastActivityDate", "date"),
        *written(),
        *HIDDEN_STAMPS,
    ),
)  # fmt: skip

LEAD_STATUS = SObject(
    "LeadStatus", "01K", "Lead Status Value", "Lead Status Values",
    (
        IDENTITY,
        text("ApiName"),
        text("MasterLabel"),
        Field("SortOrder", "int"),
        Field("IsDefault", "boolean"),
        Field("IsConverted", "boolean"),
        *STAMPS,
        Field("SystemModstamp", "datetime", writable=False, in_events=False),
    ),
    writable=False,
)  # fmt: skip

# People, and what an activity is about.
_WHO = lookup("WhoId", "Contact", "Who", "Activities", or_to=("Lead",), cascade=True)
_WHAT = lookup("WhatId", "Opportunity", "What", "Activities", or_to=("Account",), cascade=True)

TASK = SObject(
    "Task", "00T", "Task", "Tasks",
    (
        IDENTITY,
        _WHO,
        _WHAT,
        text("Subject"),
        picklist("Status", "Not Started", "In Progress", "Completed", "Deferred"),
        picklist("Priority", "High", "Normal", "Low"),
        picklist("Type", "Call", "Email", "Meeting", "Other"),
        picklist("TaskSubtype", "Task", "Call", "Email"),
        Field("ActivityDate", "date"),
        Field("CompletedDateTime", "datetime", writable=False),
        system("IsClosed", "boolean"),
        picklist("CallType", "Inbound", "Outbound", "Internal"),
        Field("CallDurationInSeconds", "int", precision=8),
        text("CallDisposition"),
        long_text("Description", 32000),
        ACTION,
        _OWNER,
        *STAMPS,
        *HIDDEN_STAMPS,
    ),
)  # fmt: skip

EVENT = SObject(
    "Event", "00U", "Event", "Events",
    (
        IDENTITY,
        _WHO,
        _WHAT,
        text("Subject"),
        picklist("Type", "Call", "Email", "Meeting", "Other"),
        Field("StartDateTime", "datetime", required=True),
        Field("EndDateTime", "datetime"),
        Field("DurationInMinutes", "int", precision=8),
        text("Location"),
        long_text("Description", 32000),
        ACTION,
        _OWNER,
        *STAMPS,
        *HIDDEN_STAMPS,
    ),
)  # fmt: skip

FEED_ITEM = SObject(
    "FeedItem", "0D5", "Feed Item", "Feed Items",
    (
        IDENTITY,
        lookup("ParentId", "Opportunity", "Parent", or_to=("Lead", "Account"), cascade=True),
        long_text("Body", 10000),
        *STAMPS,
        *HIDDEN_STAMPS,
    ),
)  # fmt: skip
