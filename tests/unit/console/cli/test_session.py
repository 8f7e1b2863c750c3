"""What a line of a command's answer may hold."""

from console.cli.session import one_line


def test_names_make_no_lines_and_give_a_terminal_no_orders() -> None:
    assert one_line("a\nb\r\x1b[31m\x9b\u2028\t.jpg") == r"a\nb\r\x1b[31m\x9b\u2028\t.jpg"


def test_what_can_be_read_stays() -> None:
    name = "Entwürfe/図面 №1 🏳\N{ZERO WIDTH JOINER}🌈 \N{NO-BREAK SPACE}[bold] \\n \udcff.jpg"
    assert one_line(name) == name
