"""The Yao Bank story, step by step: what is asked, what is told to come of it, and whether it did.

A refusal counts only as a verdict: Envoy answers 403 as well when it could not ask anybody.
"""

import http.client
import time
from pathlib import Path
from typing import Callable

import yaml

from bank import HTTP_PORT, SQL_PORT, Answer, Bank
from mesh.access_log import Entry, NotLogged
from mesh.certificates import spiffe_id
from mesh.envoy_config import MutualTls
from mesh.mesh import Pod
from mesh.node import METRICS_PORT
from mesh.processes import StartFailed, tail
from mesh.stream import wait_for_all
from narrator import Narrator

Step = Callable[[Bank, Narrator], None]

_SOME = 20  # requests, before a stream of them has shown something


def page_works(bank: Bank, say: Narrator) -> None:
    """The page works: the browser asks customer, which asks summary, which asks database"""
    answer = _curl(bank, say, "outside", bank.customer.url(HTTP_PORT))
    for pod in (bank.customer, bank.summary, bank.database):
        entry = _explained(pod, answer, say)
        own = f"GlobalNetworkPolicy {pod.spec.name}"
        say.expect(entry.allowed and entry.policy == own, f"{pod.spec.name}: its own policy let it through")
    say.expect(answer.status == 200 and "balance" in answer.text, "200, with the balance from the database")


def post_refused(bank: Bank, say: Narrator) -> None:
    """A POST to the page is refused: the policy of customer allows GET alone"""
    answer = _curl(bank, say, "outside", "-X", "POST", bank.customer.url(HTTP_PORT))
    _expect_denied(bank.customer, answer, say)


def wrong_identity(bank: Bank, say: Narrator) -> None:
    """From a shell in the customer pod the database refuses: wrong identity"""
    say.text("The shell's connection leaves through customer's sidecar, so it carries customer's certificate.")
    answer = _curl(bank, say, "customer", bank.database.url(HTTP_PORT))
    _expect_denied(bank.database, answer, say)


def stolen_certificate(bank: Bank, say: Narrator) -> None:
    """With summary's stolen certificate and key the database refuses too: wrong IP address"""
    say.text("The certificate is good, and so is the key. But the attacker's address is not one of summary's.")
    stolen = bank.summary.certificate
    credentials = ["-k", "--cert", str(stolen.certificate), "--key", str(stolen.key)]
    url = bank.database.url(HTTP_PORT, scheme="https")
    answer = _curl(bank, say, "attack", *credentials, url)
    entry = _expect_denied(bank.database, answer, say)
    say.expect(
        entry.peer == spiffe_id("default", "summary") and entry.source.startswith(f"{bank.attack.address}:"),
        "the peer was summary by its certificate and the attacker by its address",
    )
    answer = _curl(bank, say, "summary", *credentials, url, past_sidecar=True)
    entry = _explained(bank.database, answer, say)
    say.expect(
        answer.status == 200 and entry.allowed,
        "the same certificate and key are let in from summary's own address",
    )


def tcp_service(bank: Bank, say: Narrator) -> None:
    """The same policy guards a protocol that is not HTTP: the database's TCP port"""
    for pod, welcome in ((bank.summary, True), (bank.customer, False)):
        seen = len(bank.database.access_log.entries())
        say.command(f"{pod.spec.name}$", f"echo balance? > /dev/tcp/{bank.database.address}/{SQL_PORT}")
        reply = bank.sql(pod.namespace, "balance?")
        say.answer(reply or "closed without an answer")
        peer = spiffe_id("default", pod.spec.account)
        entry = bank.database.access_log.wait_for(lambda line: line.peer == peer, after=seen)
        say.reason("database", _account_of(entry))
        if welcome:
            say.expect("balance" in reply and entry.allowed, "summary gets the balance")
        else:
            say.expect(not reply and entry.denied, "customer is refused by policy (ext_authz_denied)")


def plain_text_under_strict(bank: Bank, say: Narrator) -> None:
    """Under STRICT mutual TLS the database takes no plain text, not even from summary's own address"""
    for where, past_sidecar in (("attack", False), ("summary", True)):
        seen = len(bank.database.access_log.entries())
        answer = _curl(bank, say, where, bank.database.url(HTTP_PORT), past_sidecar=past_sidecar)
        entry = bank.database.access_log.wait_for(lambda line: line.turned_away, after=seen)
        say.reason("database", _account_of(entry))
        say.expect(answer.status == 0, "no answer at all: Envoy resets the connection before any policy is asked")


def plain_text_under_permissive(bank: Bank, say: Narrator) -> None:
    """Under PERMISSIVE plain text is judged by IP address alone"""
    bank.set_database_mutual_tls(MutualTls.PERMISSIVE)
    answer = _curl(bank, say, "summary", bank.database.url(HTTP_PORT), past_sidecar=True)
    entry = _explained(bank.database, answer, say)
    say.expect(
        answer.status == 200 and entry.allowed and not entry.peer,
        "allowed: no certificate, but one of summary's addresses",
    )
    answer = _curl(bank, say, "attack", bank.database.url(HTTP_PORT))
    _expect_denied(bank.database, answer, say)


def policy_edited(bank: Bank, say: Narrator) -> None:
    """A policy is edited while everything runs, and takes effect at once"""
    for methods, status in ((["GET", "POST"], 200), (["GET"], 403)):
        began = _edit(bank, methods)
        milliseconds = bank.post_until(bank.customer, status, began)
        say.text(f"customer.yaml now says methods: {methods}. A POST felt it after {milliseconds:.0f} ms.")
        answer = _curl(bank, say, "outside", "-X", "POST", bank.customer.url(HTTP_PORT))
        if status == 200:
            entry = _explained(bank.customer, answer, say)
            say.expect(answer.status == 200 and entry.allowed, "a POST is allowed now, and nothing was restarted")
        else:
            _expect_denied(bank.customer, answer, say)


def felix_killed(bank: Bank, say: Narrator) -> None:
    """felix is killed while requests run: the sidecars keep to their last policy, and then it comes back"""
    services = (bank.customer, bank.summary, bank.database)
    seen = {pod: len(pod.access_log.entries()) for pod in services}
    pages = bank.ask_again_and_again(bank.customer, "GET")
    posts = bank.ask_again_and_again(bank.customer, "POST")
    with pages, posts:
        wait_for_all([pages, posts], _SOME)
        say.command("node$", f"kill -KILL {bank.mesh.node.felix.pid}    # felix")
        bank.mesh.node.felix.kill()
        _edit(bank, ["GET", "POST"])
        say.text("customer.yaml now says methods: ['GET', 'POST'], and nobody is there to tell the sidecars.")
        shown, refused = wait_for_all([pages, posts], _SOME)
        say.expect(
            {*shown} == {200} and {*refused} == {403},
            f"as before: {len(shown)} pages were shown, {len(refused)} POSTs refused",
        )
        began = time.monotonic()
        bank.mesh.node.start_felix()
        milliseconds = bank.post_until(bank.customer, 200, began)
        say.text(f"felix runs again, and the sidecars called it. A POST felt the edit after {milliseconds:.0f} ms.")
        milliseconds = bank.post_until(bank.customer, 403, _edit(bank, ["GET"]))
        say.text(f"customer.yaml says methods: ['GET'] again. A POST felt it after {milliseconds:.0f} ms.")
    entries = [entry for pod in services for entry in pod.access_log.entries()[seen[pod] :]]
    say.expect(
        {*pages.after(0)} == {200} and not any(entry.unanswered for entry in entries),
        f"all {len(pages)} pages were shown, and each of {len(entries)} requests got a verdict",
    )


# The first line of a step's documentation is its heading.
STEPS: tuple[Step, ...] = (
    page_works,
    post_refused,
    wrong_identity,
    stolen_certificate,
    tcp_service,
    plain_text_under_strict,
    plain_text_under_permissive,
    policy_edited,
    felix_killed,
)


def tell(bank: Bank, say: Narrator) -> bool:
    """Tell every step, whatever became of the one before; true if all came out as told."""
    for number, step in enumerate(STEPS, 1):
        title = step.__doc__ or step.__name__
        say.heading(f"{number}. {title}")
        lengths = {log: _length(log) for log in bank.logs}
        try:
            step(bank, say)
        except (NotLogged, StartFailed, OSError, http.client.HTTPException) as error:
            say.fail(str(error))
        if not say.finish_step(title):
            for log in bank.logs:
                if _length(log) > lengths.get(log, 0):
                    say.quote(str(log), tail(log, after=lengths.get(log, 0)))
    return say.summary()


def explain_how_to_poke(bank: Bank, say: Narrator) -> None:
    """What to type while the bank stays open."""
    say.heading("The bank stays open until Ctrl-C (or SIGTERM). In another shell, as root:")
    for pod in bank.mesh.pods:
        say.command("#", f"ip netns exec {pod.namespace.name} sh    # in {pod.spec.name}, {pod.address}")
    customer, database = bank.customer.url(HTTP_PORT), bank.database.url(HTTP_PORT)
    say.command("#", f"ip netns exec {bank.outside.name} curl {customer}    # the page, from outside")
    say.command("#", f"ip netns exec {bank.customer.namespace.name} curl -i {database}    # customer's shell: 403")
    stolen = bank.summary.certificate
    say.command(
        "#",
        f"ip netns exec {bank.attack.namespace.name} curl -ik --cert {stolen.certificate}"
        f" --key {stolen.key} {bank.database.url(HTTP_PORT, scheme='https')}    # the theft: 403",
    )
    node, resources = bank.mesh.node, bank.mesh.resources.path
    metrics = f"http://127.0.0.1:{METRICS_PORT}/metrics"
    say.command("#", f"{bank.mesh.programs.felix} check {resources}    # what each pod is told")
    say.command("#", f"ip netns exec {node.namespace.name} curl {metrics}    # felix' metrics")
    say.command("#", f"nsenter --target {node.pid} --mount find /var/run/nodeagent    # the pods' volumes")
    say.text(f"Policies, to edit: {resources}/{{customer,summary,database}}.yaml")
    say.text(f"Each pod's envoy.yaml and logs: {bank.mesh.directory}/default.*/; felix' log: {node.felix.log}")


def _edit(bank: Bank, methods: list[str]) -> float:
    """Let the policy of customer allow these methods; the moment when its file was replaced."""
    policy = yaml.safe_load(bank.mesh.resources.read("customer.yaml"))
    policy["spec"]["ingress"][0]["http"]["methods"] = methods
    content = yaml.safe_dump(policy)
    began = time.monotonic()
    bank.mesh.resources.write("customer.yaml", content)
    return began


def _curl(bank: Bank, say: Narrator, where: str, *arguments: str, past_sidecar: bool = False) -> Answer:
    """Show a command, run it and show its answer."""
    shown = [argument.rpartition("/")[2] if argument.startswith("/") else argument for argument in arguments]
    say.command(f"{where}{', past its sidecar' if past_sidecar else ''}$", " ".join(["curl", *shown]))
    answer = bank.curl(where, arguments, past_sidecar)
    say.answer(str(answer))
    return answer


def _explained(pod: Pod, answer: Answer, say: Narrator) -> Entry:
    """Show what a pod's Envoy wrote about a request."""
    entry = pod.access_log.wait_for(lambda line: line.request_id == answer.identifier)
    say.reason(pod.spec.name, _account_of(entry))
    return entry


def _expect_denied(pod: Pod, answer: Answer, say: Narrator) -> Entry:
    entry = _explained(pod, answer, say)
    say.expect(answer.status == 403 and entry.denied, "403, and it was the policy's verdict (ext_authz_denied)")
    return entry


def _account_of(entry: Entry) -> str:
    return f"{entry.verdict} {entry.peer or 'plain text'} from {entry.source}; {entry.explanation()}"


def _length(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
