import pytest

from proxy_addon.uploads.note import Note
from shared.core.selectors import parse_selector
from shared.types import Role, Selection, StepKind


@pytest.mark.parametrize(
    ("role", "text", "reads"),
    [
        (Role.LEARN, "reply.json:$.id", True),
        (Role.LEARN, "reply.xml:UploadId", True),
        (Role.NUMBER, "reply.json:$.id", True),
        (Role.LEARN, "reply.header:location", False),
        (Role.NUMBER, "json:$.id", False),
        (Role.OBJECT, "reply.json:$.id", False),
    ],
)
def test_a_reply_is_held_only_where_its_body_tells_something(role: Role, text: str, reads: bool) -> None:
    selection = Selection(app="a", step=StepKind.START, select={role: (parse_selector(text, role),)})
    assert Note(selection=selection).reads_body is reads
