"""The demonstration's origin is a real one."""

import ssl
from hashlib import sha256
from pathlib import Path

import httpx

from console.demo.origin import HOST, Origin


def test_it_serves_its_host_with_a_certificate_of_its_own_authority(tmp_path: Path) -> None:
    origin = Origin(tmp_path)
    try:
        origin.files["/a.jpg"] = ("image/jpeg", b"picture")
        trust = ssl.create_default_context(cafile=origin.ca_file)
        with httpx.Client(
            base_url=f"https://{origin.address}", headers={"Host": HOST}, verify=trust, trust_env=False
        ) as client:
            name = {"sni_hostname": HOST}
            taken = client.post("/upload", content=b"upload", extensions=name)
            assert (taken.status_code, taken.text) == (201, sha256(b"upload").hexdigest())
            assert origin.arrived == {taken.text}
            served = client.get("/a.jpg", extensions=name)
            assert (served.content, served.headers["content-type"]) == (b"picture", "image/jpeg")
            assert client.get("/b.jpg", extensions=name).status_code == 404
    finally:
        origin.stop()
