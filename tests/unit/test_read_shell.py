"""Which variables a script uses and sets, as the shell would see it."""

from __future__ import annotations

import pytest

from drctl.read.shell import line_and_column, shell_use


def hard(script: str) -> list[str]:
    """The names that the script expands, and neither sets nor knows how to do without."""
    use = shell_use(script)
    return [r.name for r in use.references if not r.optional and r.name not in use.assigned]


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("echo $a ${b} $c_1", ["a", "b", "c_1"]),
        ('echo "$a" "${b}x"', ["a", "b"]),
        ("echo '$a' \"'$b'\"", ["b"]),
        (r"echo \$a \\$b", ["b"]),
        ("awk '{print $1, $x}' \"$file\"", ["file"]),
        ("echo $1 $@ $# $? $$ $! $- $* $0 $a", ["a"]),
        ("# $a\necho $b # $c\necho a#$d", ["b", "d"]),
        ('echo "# $a"', ["a"]),
        ('echo "$(psql -c "$sql" | grep \'$x\')"', ["sql"]),
        ("echo `cat $a`", ["a"]),
        ('x="$(echo ")" "$a")" ; echo \'$b\'', ["a"]),
        ("(cd $a && echo '$b')", ["a"]),
        ("echo ${a:-x} ${b-x} ${c:+x} ${d+x} ${e:?x} ${f?x}", ["e", "f"]),
        ("echo ${a:-$b}", ["b"]),
        ("echo ${#a} ${!b} ${c%%.*} ${d#*(} '$e'", ["a", "b", "c", "d"]),
        (': "${a:=1}"; echo $a', []),
        ("cat <<EOF\n$a '$b'\nEOF\necho '$c' $d", ["a", "b", "d"]),
        ("cat <<'EOF'\n$a\nEOF\necho $b", ["b"]),
        ('cat <<-"EOF"\n\t$a\n\tEOF\necho $b', ["b"]),
        ("cat <<\\EOF\n$a\nEOF\n", []),
        ("cat <<ONE <<'TWO'\n$a\nONE\n$b\nTWO\necho $c", ["a", "c"]),
        ("cat <<EOF\n$(echo '$a' \"$b\")\nEOF", ["b"]),
        ('grep x <<< "$a"', ["a"]),
        ("cat <<EOF\n$a", ["a"]),
        ("echo $'\\'$a' $b", ["b"]),
        ("psql <<SQL\nselect \\$\\$body\\$\\$, '$a';\nSQL", ["a"]),
    ],
)
def test_what_is_expanded(script: str, names: list[str]) -> None:
    assert hard(script) == names


@pytest.mark.parametrize(
    "script",
    [
        "x=1; echo $x",
        "x=$(date); echo $x",
        "if true; then x=1; fi; echo $x",
        "for x in 1 2; do echo $x; done",
        "read -r x y; echo $x $y",
        "while IFS=: read -r x _; do echo $x; done < file",
        "export x=1; echo $x",
        "readonly x=1 y=2; echo $x $y",
        "f() { local x y=1; echo $x $y; }",
        "getopts ab: x; echo $x",
        "printf -v x %s 1; echo $x",
        "mapfile -t x < file; echo $x",
        "x+=1; echo $x",
        "declare -a x; echo $x",
    ],
)
def test_what_the_script_sets_itself(script: str) -> None:
    assert hard(script) == []


@pytest.mark.parametrize(
    "script", ["echo 'x=1'; echo $x", 'echo "x=1"; echo $x', "# x=1\necho $x", "export x; echo $x"]
)
def test_what_only_looks_like_an_assignment(script: str) -> None:
    assert hard(script) == ["x"]


def test_names_that_are_used_without_a_dollar() -> None:
    assert shell_use("echo $((lag / 60 + (more)))").names == {"lag", "more"}
    assert shell_use("export database; psql").names == {"database"}
    assert hard("echo $((lag)) '$b' $c") == ["c"]


def test_an_offset_becomes_a_line_and_a_column() -> None:
    script = "set -eu\n  echo $x\n"
    offset = shell_use(script).references[0].offset
    assert line_and_column(script, offset) == (1, 7)
    assert line_and_column("$x", 0) == (0, 0)


@pytest.mark.parametrize(
    "script", ["", "'", '"', "$(", "${", "$((", "`", "<<", "<<EOF", "\\", "$", "$'", "${a:-", ")))", "}}"]
)
def test_a_broken_script_is_no_crash(script: str) -> None:
    shell_use(script)
