"""stagecraft-infra: the topics, rights and roles are those of the local stack."""

import psycopg
import pytest
from psycopg import sql
from sandbox.provision import provision_database
from sandbox.stack.acls import Acl, acls_of, users_of
from sandbox.stack.topics import load_topics

from tests.deploy.chart_files import BY_NAME, named, rendered
from tools.chart.places import SERVICES
from tools.chart.render import Document, render

DEV = BY_NAME["infra-dev"]


def test_topics_are_those_of_topics_yaml() -> None:
    declared = {topic.name: topic for topic in load_topics()}
    made = {topic["metadata"]["name"]: topic["spec"] for topic in rendered(DEV).of_kind("KafkaTopic")}
    assert made.keys() == declared.keys()
    assert any(".dlq." in name for name in made)
    assert any(".partner." in name for name in made)
    for name, topic in declared.items():
        assert made[name]["partitions"] == topic.partitions
        assert made[name]["config"] == topic.configs | {"min.insync.replicas": "1"}


def test_rights_are_those_of_the_local_stack() -> None:
    made = {
        Acl(
            user=user["metadata"]["name"],
            resource=acl["resource"]["type"],
            name=acl["resource"]["name"],
            pattern={"prefix": "prefixed"}.get(acl["resource"]["patternType"], acl["resource"]["patternType"]),
            operation=operation,
        )
        for user in rendered(DEV).of_kind("KafkaUser")
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }
    assert made == acls_of(load_topics())
    assert {user["metadata"]["name"] for user in rendered(DEV).of_kind("KafkaUser")} == users_of(load_topics())


def test_without_partners_no_one_may_touch_a_topic_of_theirs() -> None:
    one = render(DEV, {"partners": []})
    assert {user["metadata"]["name"] for user in one.of_kind("KafkaUser")} == set(SERVICES)
    assert ".partner." not in one.text


def test_what_the_services_expect_is_what_the_infrastructure_makes() -> None:
    for name in ("dev", "production"):
        infra, services = rendered(BY_NAME[f"infra-{name}"]), rendered(BY_NAME[name])
        kafka = infra.of_kind("Kafka")[0]
        (listener,) = kafka["spec"]["kafka"]["listeners"]
        assert (listener["tls"], listener["authentication"]["type"]) == (True, "scram-sha-512")
        prefix = kafka["spec"]["entityOperator"]["userOperator"]["secretPrefix"]
        for service in SERVICES:
            data = named(services, "ConfigMap", f"stagecraft-{service}")["data"]
            address = f"{kafka['metadata']['name']}-kafka-bootstrap:{listener['port']}"
            assert data["KAFKA_BOOTSTRAP_SERVERS"] == address
            env = named(services, "Deployment", f"stagecraft-{service}")["spec"]["template"]["spec"]["containers"][0][
                "env"
            ]
            references = {entry["name"]: entry["valueFrom"].get("secretKeyRef") for entry in env}
            secrets = {name: reference["name"] for name, reference in references.items() if reference}
            assert secrets["KAFKA_PASSWORD"] == f"{prefix}{data['KAFKA_USERNAME']}"


def test_each_role_logs_in_to_its_own_database_only_and_encrypted() -> None:
    (cluster,) = rendered(DEV).of_kind("Cluster")
    *allowed, last = cluster["spec"]["postgresql"]["pg_hba"]
    assert last == "host all all all reject"
    packages = [service.replace("-", "_") for service in SERVICES]
    assert sorted(allowed) == sorted(f"hostssl {p} {p}_owner,{p}_app all scram-sha-256" for p in packages)
    names = {database["spec"]["name"]: database["spec"]["owner"] for database in rendered(DEV).of_kind("Database")}
    assert names == {package: f"{package}_owner" for package in packages}


def as_sql(role: Document) -> list[sql.Composed]:
    """A managed role in the statements that the operator makes of it."""
    name = sql.Identifier(role["name"])
    options = [sql.SQL("LOGIN" if role.get("login") else "NOLOGIN")]
    options.append(sql.SQL("INHERIT" if role.get("inherit", True) else "NOINHERIT"))
    statements = [sql.SQL("CREATE ROLE {} {}").format(name, sql.SQL(" ").join(options))]
    statements += [sql.SQL("GRANT {} TO {}").format(sql.Identifier(of), name) for of in role.get("inRoles", [])]
    return statements


def facts(connection: psycopg.Connection, package: str) -> tuple[list[tuple], list[tuple]]:
    """What PostgreSQL keeps of a service's roles and memberships."""
    roles = connection.execute(
        "SELECT replace(rolname, %(package)s, ''), rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb"
        " FROM pg_roles WHERE rolname LIKE %(package)s || '\\_%%' ORDER BY 1",
        {"package": package},
    ).fetchall()
    members = connection.execute(
        "SELECT replace(m.roleid::regrole::text, %(package)s, ''), replace(m.member::regrole::text, %(package)s, ''),"
        " m.inherit_option, m.set_option, m.admin_option FROM pg_auth_members m"
        " WHERE m.member::regrole::text LIKE %(package)s || '\\_app' ORDER BY 1",
        {"package": package},
    ).fetchall()
    return roles, members


def test_roles_of_the_operator_have_the_rights_of_our_own(infrastructure) -> None:
    """On a real PostgreSQL: the roles that the Cluster declares, beside those that sandbox.provision makes."""
    with psycopg.connect(infrastructure.admin_url, autocommit=True) as connection:
        provisioned = "chart_by_the_kit"
        provision_database(infrastructure.admin_url, provisioned, app_password="a", owner_password="b")
        (cluster,) = rendered(DEV).of_kind("Cluster")
        declared = [role for role in cluster["spec"]["managed"]["roles"] if role["name"].startswith("scoring_")]
        renamed = [
            role
            | {"name": role["name"].replace("scoring", "chart_by_operator")}
            | (
                {"inRoles": [of.replace("scoring", "chart_by_operator") for of in role["inRoles"]]}
                if "inRoles" in role
                else {}
            )
            for role in declared
        ]
        try:
            for statement in (statement for role in renamed for statement in as_sql(role)):
                connection.execute(statement)
            roles, members = facts(connection, "chart_by_operator")
            assert len(roles) == 3
            assert members == [("_relay", "_app", False, True, False)]
            assert (roles, members) == facts(connection, provisioned)
            connection.execute(database_as_sql("chart_by_operator"))
            collation = connection.execute(
                "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = %s",
                ("chart_by_operator",),
            ).fetchone()
            assert collation == ("b", "C.UTF-8", "UTF8")
        finally:
            connection.execute("DROP DATABASE IF EXISTS chart_by_operator")
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(provisioned)))
            for package in ("chart_by_operator", provisioned):
                for role in ("app", "owner", "relay"):
                    connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(f"{package}_{role}")))


def database_as_sql(name: str) -> sql.Composed:
    """The Database resource of scoring in the statement that the operator makes of it."""
    spec = next(d["spec"] for d in rendered(DEV).of_kind("Database") if d["spec"]["name"] == "scoring")
    return sql.SQL(
        "CREATE DATABASE {} OWNER {} TEMPLATE {} ENCODING {} LOCALE_PROVIDER {} BUILTIN_LOCALE {}"
        " LC_COLLATE {} LC_CTYPE {}"
    ).format(
        sql.Identifier(name),
        sql.Identifier(f"{name}_owner"),
        sql.Identifier(spec["template"]),
        *(
            sql.Literal(spec[key])
            for key in ("encoding", "localeProvider", "builtinLocale", "localeCollate", "localeCType")
        ),
    )


@pytest.mark.parametrize("role", ["owner", "app", "relay"])
def test_passwords_belong_to_those_who_log_in(role: str) -> None:
    (cluster,) = rendered(DEV).of_kind("Cluster")
    for service in SERVICES:
        name = f"{service.replace('-', '_')}_{role}"
        (declared,) = [one for one in cluster["spec"]["managed"]["roles"] if one["name"] == name]
        assert declared["login"] == (role != "relay")
        secret = declared.get("passwordSecret", {}).get("name")
        assert secret == (None if role == "relay" else f"{service}-database-{role}")
        assert not {"superuser", "bypassrls", "createrole", "createdb", "replication"} & declared.keys()
