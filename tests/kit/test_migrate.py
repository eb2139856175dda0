"""What the command says when it cannot migrate."""

from kit.schema import migrate


def test_a_database_that_does_not_answer_is_named_in_a_line(monkeypatch, capsys):
    monkeypatch.setenv("MIGRATION_DATABASE_URL", "postgresql://owner:hunter2@127.0.0.1:1/sample")
    assert migrate.migrate_all(["sample"]) == 1
    told = capsys.readouterr().err
    assert "127.0.0.1" in told and "hunter2" not in told and "Traceback" not in told
