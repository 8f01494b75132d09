"""The functions of the app, with their triggers as the host reads them."""

# The responders' API: function, method, route, and what of the responder answers.
API = (
    ("submit_revocation", "POST", "revocations", "submit"),
    ("list_revocations", "GET", "revocations", "list_revocations"),
    ("read_revocation", "GET", "revocations/{id}", "read"),
    ("approve_revocation", "POST", "revocations/{id}/approve", "approve"),
    ("reject_revocation", "POST", "revocations/{id}/reject", "reject"),
    ("retry_revocation", "POST", "revocations/{id}/retry", "retry"),
    ("undo_lockdown", "POST", "revocations/{id}/undo-lockdown", "undo_lockdown"),
)
# Those that no HTTP request calls: function, and what its trigger has.
OTHERS: tuple[tuple[str, dict[str, object]], ...] = (
    ("on_finding", {"type": "eventGridTrigger"}),
    *(
        (name, {"type": "queueTrigger", "queueName": queue, "connection": "SASQUASH_STORAGE"})
        for name, queue in (
            ("on_queued_finding", "findings"),
            ("findings_poison", "findings-poison"),
            ("contain", "contain"),
            ("follow_up", "follow-up"),
            ("contain_poison", "contain-poison"),
            ("follow_up_poison", "follow-up-poison"),
            ("intake_poison", "intake-poison"),
            ("read_alert", "intake"),
        )
    ),
    *(
        (name, {"type": "timerTrigger", "schedule": schedule})
        for name, schedule in (
            ("sweep", "15 * * * * *"),
            ("send_digest", "45 * * * * *"),
            ("collect_dead_letters", "30 */5 * * * *"),
            ("look_again", "0 23 4 * * *"),
            ("copy_history", "45 * * * * *"),
            ("check_history", "10 52 2 * * *"),
            ("prune_records", "20 37 3 * * *"),
            ("look_at_accounts", "50 41 * * * *"),
            ("drill", "40 */15 * * * *"),
        )
    ),
)
HTTP = {"health_check", "take_report", "read_readiness", "list_sas_in_use", "serve_desk", *(name for name, *_ in API)}
