from proxy_addon.reporting.operation_alerts import operation_alert
from shared.core.alert_format import to_ocsf
from shared.types import Severity


def test_an_operation_is_an_event_that_says_what_happened() -> None:
    alert = operation_alert(
        incident="i-1",
        time=100.0,
        policy="safelight:bypass",
        title="Inspection is switched off",
        detail="an outage: root@host",
        severity=Severity.CRITICAL,
        host="files.example",
        ip="192.0.2.7",
    )
    event = to_ocsf(alert)
    assert event["message"] == "Inspection is switched off"
    assert event["severity"] == "Critical"
    assert event["src_endpoint"] == {"ip": "192.0.2.7"}
    assert event["dst_endpoint"] == {"hostname": "files.example"}
    assert event["unmapped"]["safelight"]["kind"] == "operation"  # type: ignore[index]
    assert "an outage: root@host" in str(event["finding_info"])
