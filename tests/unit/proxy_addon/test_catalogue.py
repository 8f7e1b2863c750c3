"""Each rule of the catalogue with an address it is for; pages and look-alikes that no rule may take."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from proxy_addon.catalogue import STALE_DAYS, age_days, load_catalogue, stale
from shared.core.activity import Catalogue
from shared.core.catalogue_file import parse_app
from shared.errors import ConfigError
from shared.extract.budget import Limits
from shared.extract.selecting import open_message
from shared.types import Activity, ActivityContext, Direction, Headers, HttpMessage
from tests.factories import make_actor, make_head
from tests.unit.shared.extract.pictures import run

CATALOGUE = load_catalogue()
FORM: Headers = (("content-type", "multipart/form-data; boundary=x"),)

# app, activity, method, address, and a body where that tells; downloads are asked for the response.
LINES = """
anthropic-api upload POST api.anthropic.com/v1/messages
anthropic-api upload POST api.anthropic.com/v1/files
anthropic-api delete DELETE api.anthropic.com/v1/files/file_1
anthropic-api download GET api.anthropic.com/v1/files/file_1/content
aws-bedrock upload POST bedrock-runtime.eu-west-1.amazonaws.com/model/some.model-v1%3A0/converse-stream
aws-s3 share PUT bucket.s3.eu-west-1.amazonaws.com/key.png?acl
aws-s3 share PUT s3.eu-west-1.amazonaws.com/bucket?policy
aws-s3 delete POST bucket.s3.amazonaws.com/?delete
aws-s3 delete DELETE bucket.s3.amazonaws.com/key.png
aws-s3 upload PUT bucket.s3.amazonaws.com/key.png?partNumber=2&uploadId=x
aws-s3 upload POST s3-eu-west-1.amazonaws.com/bucket/key.png?uploads
aws-s3 upload PUT bucket.s3.cn-north-1.amazonaws.com.cn/key.png
aws-s3 download GET bucket.s3.eu-west-1.amazonaws.com/key.png
azure-blob share PUT acct.blob.core.windows.net/box?restype=container&comp=acl
azure-blob delete DELETE acct.blob.core.windows.net/box/a.png
azure-blob upload PUT acct.blob.core.windows.net/box/a.png?comp=block&blockid=AAAA
azure-blob download GET acct.blob.core.windows.net/box/a.png
azure-openai upload POST unit.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-06-01
box upload POST upload.box.com/api/2.0/files/content
box upload PUT upload.app.box.com/api/2.0/files/upload_sessions/F971
box upload POST upload.box.com/api/2.0/files/upload_sessions/F971/commit
box delete DELETE api.box.com/2.0/files/12345
box copy POST api.box.com/2.0/files/12345/copy
box share POST api.box.com/2.0/collaborations
box download GET api.box.com/2.0/files/12345/content
chatgpt upload POST chatgpt.com/backend-api/files
chatgpt upload POST chatgpt.com/backend-api/f/conversation
chatgpt upload POST chatgpt.com/backend-api/files/process_upload_stream
chatgpt upload PUT files.oaiusercontent.com/files/0000-1/raw?sig=x
claude upload POST claude.ai/api/organizations/o1/conversations/c1/wiggle/upload-file
claude upload POST claude.ai/api/organizations/o1/chat_conversations/c1/completion
discord upload POST discord.com/api/v9/channels/12/attachments
discord send POST discord.com/api/v9/channels/12/messages
discord delete DELETE discord.com/api/v10/channels/12/messages/34
discord download GET cdn.discordapp.com/attachments/1/2/a.png
dropbox upload POST content.dropboxapi.com/2/files/upload_session/append_v2
dropbox share POST api.dropboxapi.com/2/sharing/create_shared_link_with_settings
dropbox move_within POST api.dropboxapi.com/2/files/move_v2
dropbox copy POST api.dropboxapi.com/2/files/copy_batch_v2
dropbox delete POST api.dropboxapi.com/2/files/delete_v2
dropbox download POST content.dropboxapi.com/2/files/download
dropbox upload POST dl-web.dropbox.com/put/commit_web_upload_by_token?name=a.png
facebook upload POST upload.facebook.com/ajax/mercury/upload.php
facebook upload POST www.facebook.com/rupload_igphoto/fb_uploader_1
gemini upload POST generativelanguage.googleapis.com/v1beta/models/some-model:streamGenerateContent
gemini upload POST europe-west1-aiplatform.googleapis.com/v1/projects/p/publishers/google/models/m:generateContent
gemini upload POST generativelanguage.googleapis.com/upload/v1beta/files
gemini delete DELETE generativelanguage.googleapis.com/v1beta/files/f1
gemini upload POST push.clients6.google.com/upload/
gemini upload POST content-push.googleapis.com/upload
github upload POST github.com/upload/policies/assets
github upload PUT github.com/upload/repository-files/77
github upload POST uploads.github.com/repos/o/r/releases/1/assets?name=a.png
github upload PUT api.github.com/repos/o/r/contents/img/a.png
github delete DELETE api.github.com/repos/o/r/contents/img/a.png
github upload POST github.com/o/r.git/git-receive-pack
github download GET github.com/user-attachments/assets/0000-1
gmail send POST gmail.googleapis.com/upload/gmail/v1/users/me/messages/send?uploadType=media
gmail upload POST gmail.googleapis.com/gmail/v1/users/me/drafts
gmail delete DELETE gmail.googleapis.com/gmail/v1/users/me/messages/17
gmail delete POST gmail.googleapis.com/gmail/v1/users/me/messages/17/trash
gmail upload POST mail.google.com/_/upload/att?authuser=0
gmail upload POST mail.google.com/mail/u/0/?ui=2&view=trup
gmail send POST mail.google.com/sync/u/0/i/s?hl=en
gmail send POST mail.google.com/mail/u/0/?view=up&act=sm
gmail download GET mail.google.com/mail/u/0/?ui=2&ik=1&attid=0.1&view=att
gmail download GET gmail.googleapis.com/gmail/v1/users/me/messages/17/attachments/A1
google-cloud-storage upload POST storage.googleapis.com/upload/storage/v1/b/bucket/o?uploadType=media
google-cloud-storage copy POST storage.googleapis.com/storage/v1/b/bucket/o/a.png/rewriteTo/b/other/o/a.png
google-cloud-storage move_within POST storage.googleapis.com/storage/v1/b/bucket/o/a.png/moveTo/o/b.png
google-cloud-storage share POST storage.googleapis.com/storage/v1/b/bucket/o/a.png/acl
google-cloud-storage delete DELETE storage.googleapis.com/storage/v1/b/bucket/o/a.png
google-cloud-storage download GET storage.googleapis.com/download/storage/v1/b/bucket/o/a.png?alt=media
google-cloud-storage share PUT bucket.storage.googleapis.com/a.png?acl
google-cloud-storage upload PUT bucket.storage.googleapis.com/a.png
google-drive upload POST www.googleapis.com/upload/drive/v3/files?uploadType=multipart
google-drive upload PATCH www.googleapis.com/upload/drive/v3/files/1aB-c
google-drive upload PUT clients6.google.com/upload/drive/v2internal/files?uploadType=resumable
google-drive upload PUT www.googleapis.com/upload/drive/v3/files?uploadType=resumable&upload_id=x
google-drive move_outside POST www.googleapis.com/drive/v3/files/1aB-c/permissions?transferOwnership=true
google-drive delete PATCH www.googleapis.com/drive/v3/files/1aB-c {"trashed":true}
google-drive delete PATCH www.googleapis.com/drive/v2/files/1aB-c {"labels":{"trashed":true}}
google-drive move_within PUT www.googleapis.com/drive/v2/files/1aB-c {"parents":[{"id":"p"}]}
google-drive download GET www.googleapis.com/download/drive/v3/files/1aB-c?alt=media
google-drive upload POST docs.google.com/upload/resumableuploadsc?authuser=0
google-drive share POST www.googleapis.com/drive/v3/files/1aB-c/permissions
google-drive copy POST content.googleapis.com/drive/v3/files/1aB-c/copy
google-drive delete POST www.googleapis.com/drive/v2/files/1aB-c/trash
google-drive delete DELETE www.googleapis.com/drive/v3/files/1aB-c
google-drive move_within PATCH www.googleapis.com/drive/v3/files/1aB-c?addParents=x&removeParents=y
google-drive download GET www.googleapis.com/drive/v3/files/1aB-c?alt=media
google-drive download GET drive.usercontent.google.com/download?id=1aB
google-photos upload POST photoslibrary.googleapis.com/v1/uploads
google-photos share POST photoslibrary.googleapis.com/v1/albums/a1:share
google-photos upload POST photos.google.com/_/upload/uploadmedia/rupio/interactive
instagram upload POST i.instagram.com/rupload_igphoto/fb_uploader_1
instagram upload POST www.threads.com/rupload_igphoto/fb_uploader_1
instagram share POST www.instagram.com/api/v1/media/configure_sidecar/
onedrive upload POST graph.microsoft.com/v1.0/me/drive/root:/a/b.png:/createUploadSession
onedrive upload POST api.onedrive.com/v1.0/drive/root:/a.png:/oneDrive.createUploadSession
onedrive upload PUT am3p.up.1drv.com/up/fe12
onedrive upload PUT graph.microsoft.com/v1.0/me/drive/items/01:/a.png:/content
onedrive share POST graph.microsoft.com/v1.0/drives/d1/items/01/createLink
onedrive copy POST graph.microsoft.com/v1.0/me/drive/items/01/copy
onedrive delete POST graph.microsoft.com/v1.0/drives/d1/items/01/permanentDelete
onedrive delete DELETE graph.microsoft.com/v1.0/me/drive/items/01
onedrive download GET graph.microsoft.com/v1.0/me/drive/items/01/content
openai-api upload POST api.openai.com/v1/chat/completions
openai-api upload POST api.openai.com/v1/responses
openai-api upload POST api.openai.com/v1/uploads/upload_1/parts
openai-api upload POST api.openai.com/v1/images/edits
openai-api delete DELETE api.openai.com/v1/files/file-1
openai-api download GET api.openai.com/v1/files/file-1/content
outlook upload POST outlook.office.com/owa/0/service.svc?action=CreateAttachmentFromLocalFile
outlook delete POST outlook.live.com/owa/service.svc?action=DeleteAttachment
outlook send POST outlook.office365.com/owa/service.svc?action=CreateItem
outlook send POST graph.microsoft.com/v1.0/me/sendMail
outlook send POST graph.microsoft.com/v1.0/me/messages/AAk/send
outlook upload POST graph.microsoft.com/v1.0/me/messages/AAk/attachments
outlook upload PUT outlook.office.com/api/v2.0/Users('x')/Messages('y')/AttachmentSessions('z')
perplexity upload POST www.perplexity.ai/rest/uploads/create_upload_url
perplexity upload POST api.perplexity.ai/chat/completions
sharepoint upload POST corp.sharepoint.com/sites/s/_api/web/GetFolderById('1')/Files/AddUsingPath(overwrite=true)
sharepoint upload POST corp-my.sharepoint.com/personal/u/_api/web/GetFileById('1')/StartUpload(uploadId=guid'1')
sharepoint upload PUT corp-my.sharepoint.com/personal/u/_api/v2.0/drive/items/01/uploadSession?guid=1&tempauth=x
sharepoint upload POST graph.microsoft.com/v1.0/sites/s1/drive/items/01/createUploadSession
sharepoint move_within POST corp.sharepoint.com/_api/SP.MoveCopyUtil.MoveFileByPath
sharepoint copy POST corp.sharepoint.com/sites/s/_api/site/CreateCopyJobs
sharepoint delete POST corp.sharepoint.com/sites/s/_api/web/GetFileById('1')/recycle()
sharepoint share POST corp.sharepoint.com/sites/s/_api/web/Lists(@a1)/GetItemById(@a2)/ShareLink
sharepoint download GET corp.sharepoint.com/sites/s/_layouts/15/download.aspx?UniqueId=1
slack upload POST files.slack.com/upload/v1/CwAB
slack upload POST slack.com/api/files.getUploadURLExternal
slack share POST team.slack.com/api/files.completeUpload
slack delete POST slack.com/api/files.delete
slack send POST slack.com/api/chat.postMessage
slack download GET files.slack.com/files-pri/T1-F1/a.png
teams upload PUT eu-api.asm.skype.com/v1/objects/0-weu-d1/content/imgpsh
teams download GET eu-api.asm.skype.com/v1/objects/0-weu-d1/views/imgo
teams send POST teams.microsoft.com/api/chatsvc/emea/v1/users/ME/conversations/19:x/messages
teams send POST graph.microsoft.com/v1.0/chats/19:x/messages
whatsapp upload POST mmg.whatsapp.net/mms/image/q2hhc2g?auth=x&token=y
whatsapp download GET media-ams4-1.cdn.whatsapp.net/v/t62/1.enc
x upload POST upload.x.com/i/media/upload.json?command=APPEND&media_id=1&segment_index=0
x upload POST api.x.com/2/media/upload/1/append
x share POST api.x.com/2/tweets
x share POST x.com/i/api/graphql/q1/CreateTweet
x delete DELETE api.x.com/2/tweets/17
x download GET pbs.twimg.com/media/A1.jpg
""".strip().splitlines()

ADDRESSES: tuple[tuple[str, str, str, str, Headers, str], ...] = (
    *(
        (app, activity, method, address, (), "".join(body))
        for app, activity, method, address, *body in map(str.split, LINES)
    ),
    ("aws-s3", "copy", "PUT", "bucket.s3.amazonaws.com/b.png", (("x-amz-copy-source", "/bucket/a.png"),), ""),
    ("azure-blob", "copy", "PUT", "acct.blob.core.windows.net/box/b.png", (("x-ms-copy-source", "https://x"),), ""),
    ("discord", "upload", "POST", "discord.com/api/v10/channels/12/messages", FORM, ""),
    (
        "google-cloud-storage",
        "copy",
        "PUT",
        "bucket.storage.googleapis.com/b.png",
        (("x-goog-copy-source", "/b/a"),),
        "",
    ),
)

NOT_IN_THE_CATALOGUE = """
POST evilgoogleapis.com/upload/drive/v3/files
POST www.googleapis.com.evil.example/upload/drive/v3/files
POST www.googleapis.com/upload/unknown/v1/files
POST graph.microsoft.com/v1.0/me/calendar/events
POST graph.microsoft.com.evil.example/v1.0/me/drive/items/1/createLink
PUT evils3.amazonaws.com.example/key
PUT ec2.eu-west-1.amazonaws.com/
PUT blob.core.windows.net.example/box/a
POST myslack.com/api/files.upload
POST notdropbox.com/2/files/upload
POST notclaude.ai/api/organizations/o1/upload
POST discord.com.example/api/v9/channels/12/attachments
POST upload.xx.com/i/media/upload.json
POST fakegithub.com/upload/policies/assets
POST sharepoint.com.example/_api/SP.MoveCopyUtil.MoveFileByPath
POST www.example.com/upload
""".strip().splitlines()

PLAIN_PAGES = """
google-drive GET drive.google.com/drive/my-drive
github GET github.com/o/r
github POST github.com/session
slack POST app.slack.com/api/users.list
x GET x.com/home
claude GET claude.ai/chats
dropbox POST api.dropboxapi.com/2/files/list_folder
sharepoint GET corp.sharepoint.com/sites/s/SitePages/Home.aspx
""".strip().splitlines()


def classify(
    catalogue: Catalogue, direction: Direction, method: str, address: str, headers: Headers = (), body: str = ""
) -> ActivityContext:
    url = urlsplit(f"https://{address}")
    head = make_head(method=method, host=url.hostname, path=url.path, query=url.query, headers=headers)
    message = run(open_message(HttpMessage(head=head, body=body.encode(), direction=direction), {}, Limits()))
    return catalogue.classify(head, direction, make_actor(), message.values)


def direction_of(activity: str) -> Direction:
    return Direction.INBOUND if activity == Activity.DOWNLOAD else Direction.OUTBOUND


@pytest.mark.parametrize(("app", "activity", "method", "address", "headers", "body"), ADDRESSES)
def test_an_address_of_each_rule(
    app: str, activity: str, method: str, address: str, headers: Headers, body: str
) -> None:
    context = classify(CATALOGUE, direction_of(activity), method, address, headers, body)
    assert (context.app, context.activity) == (app, activity)


RULES = [(entry, number) for entry in CATALOGUE.entries for number in range(len(entry.rules))]


@pytest.mark.parametrize(("entry", "number"), RULES, ids=lambda value: getattr(value, "name", value))
def test_each_rule_has_an_address(entry: object, number: int) -> None:
    known = next(each for each in CATALOGUE.entries if each is entry)
    nowhere = parse_app("x", '[app]\nname = "x"\nwritten = 2026-11-21\nsource = ""').hosts
    alone = Catalogue(entries=(replace(known, rules=(known.rules[number],), hosts=nowhere),))
    activity = known.rules[number].activity
    assert any(
        classify(alone, direction_of(activity), method, address, headers, body).app == known.name
        for app, told, method, address, headers, body in ADDRESSES
        if (app, told) == (known.name, activity)
    )


@pytest.mark.parametrize("line", NOT_IN_THE_CATALOGUE)
def test_look_alikes_and_others(line: str) -> None:
    method, address = line.split()
    context = classify(CATALOGUE, Direction.OUTBOUND, method, address)
    assert (context.app, context.tags, context.activity) == ("", (), Activity.UPLOAD)


@pytest.mark.parametrize("line", PLAIN_PAGES)
def test_plain_pages_are_known_by_their_host_alone(line: str) -> None:
    app, method, address = line.split()
    context = classify(CATALOGUE, Direction.OUTBOUND, method, address)
    assert (context.app, context.activity) == (app, Activity.UPLOAD)
    assert classify(CATALOGUE, Direction.INBOUND, method, address).activity is Activity.DOWNLOAD


def test_every_app_says_what_it_is_and_where_that_was_read() -> None:
    for entry in CATALOGUE.entries:
        assert entry.file == f"{entry.name}.toml"
        assert entry.tags
        assert entry.rules
        assert entry.source.startswith("https://")
        assert entry.written >= date(2026, 11, 21)


def test_the_tags_for_policies() -> None:
    assert {"storage", "mail", "chat", "ai", "social", "code"} <= CATALOGUE.tags


# --- Applications of one's own, and old ones ---

OWN = """
[app]
name = "NAME"
tags = ["own"]
hosts = ["api.intranet.example"]
written = 2026-11-21
source = "https://wiki.intranet.example/uploads"

[[rule]]
activity = "print"
hosts = ["www.googleapis.com", "api.intranet.example"]
path = '^/upload/drive/v3/files$'
"""


def told_at(catalogue: Catalogue, address: str) -> tuple[str, Activity]:
    context = classify(catalogue, Direction.OUTBOUND, "POST", address)
    return context.app, context.activity


def test_an_app_of_ones_own_is_added_and_tried_first(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN.replace("NAME", "intranet"))
    (tmp_path / "notes.txt").write_text("no TOML")
    catalogue = load_catalogue(tmp_path)
    assert catalogue.apps == CATALOGUE.apps | {"intranet"}
    assert "own" in catalogue.tags
    assert told_at(catalogue, "api.intranet.example/upload/drive/v3/files") == ("intranet", Activity.PRINT)
    assert told_at(catalogue, "www.googleapis.com/upload/drive/v3/files") == ("intranet", Activity.PRINT)
    assert told_at(catalogue, "www.googleapis.com/upload/drive/v3/files/1") == ("google-drive", Activity.UPLOAD)


def test_an_app_of_ones_own_replaces_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN.replace("NAME", "google-drive"))
    catalogue = load_catalogue(tmp_path)
    assert catalogue.apps == CATALOGUE.apps
    assert told_at(catalogue, "www.googleapis.com/upload/drive/v3/files") == ("google-drive", Activity.PRINT)
    assert told_at(catalogue, "www.googleapis.com/upload/drive/v3/files/1") == ("", Activity.UPLOAD)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OWN.replace("NAME", "Not A Name").encode(), r"/own\.toml: app\.name: must be lower-case"),
        (b"\xff", r"proxy\.apps_dir: cannot read .*: 'utf-8' codec"),
    ],
)
def test_a_slip_in_ones_own_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "own.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_catalogue(tmp_path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"proxy\.apps_dir: cannot read .*missing"):
        load_catalogue(tmp_path / "missing")


def test_rules_grow_old() -> None:
    newest = max(entry.written for entry in CATALOGUE.entries)
    entry = replace(CATALOGUE.entries[0], written=newest)
    catalogue = Catalogue(entries=(entry,))
    last_day = newest + timedelta(days=STALE_DAYS)
    assert (age_days(entry, newest), age_days(entry, last_day), age_days(entry, date(2020, 1, 1))) == (0, STALE_DAYS, 0)
    assert stale(catalogue, last_day) == ()
    assert stale(catalogue, last_day + timedelta(days=1)) == (entry.name,)
