"""The three services of Yao Bank, standard library only. They know nothing of meshes, identities or policies.

    services.py customer --summary IP      the web page; asks summary
    services.py summary --database IP      one customer's accounts in one line; asks database
    services.py database                   the accounts, by HTTP and, one line a question, by plain TCP

Run by the demo inside the pods; calls leave through the sidecar because the pod's network says so.
"""

import argparse
import socketserver
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTTP_PORT = 8080
SQL_PORT = 5432
ACCOUNT = "519940"
BALANCE = "10389"
_CALL_SECONDS = 5.0


class Service(BaseHTTPRequestHandler):
    """What the three have in common: answer text, and pass the request's identifier on to the next service."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, text: str) -> None:
        """Send a plain answer."""
        body = text.encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def ask(self, address: str) -> tuple[int, str]:
        """Ask the next service; a refusal is an answer like any other."""
        request = urllib.request.Request(f"http://{address}:{HTTP_PORT}/")
        if identifier := self.headers["x-request-id"]:
            request.add_header("x-request-id", identifier)
        try:
            with urllib.request.urlopen(request, timeout=_CALL_SECONDS) as response:
                return response.status, response.read().decode().strip()
        except urllib.error.HTTPError as error:
            return error.code, f"{address} refused: {error.code}"
        except OSError as error:
            return 502, f"{address} did not answer: {error}"


class Customer(Service):
    """The page, and a form on it that policy keeps from being sent."""

    summary = ""

    def do_GET(self) -> None:  # noqa: N802 (the name is the base class's)
        """Show the page."""
        status, text = self.ask(self.summary)
        self.answer(status, f"Welcome to Yao Bank. {text}")

    def do_POST(self) -> None:  # noqa: N802
        """Transfer money."""
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.answer(200, "Yao Bank: the transfer is on its way.")


class Summary(Service):
    """Sums up what the database knows."""

    database = ""

    def do_GET(self) -> None:  # noqa: N802
        """Answer for the one customer there is."""
        status, text = self.ask(self.database)
        self.answer(status, f"Account {ACCOUNT}: {text}")


class Database(Service):
    """The accounts by HTTP."""

    def do_GET(self) -> None:  # noqa: N802
        """Answer for the one account there is."""
        self.answer(200, f"balance {BALANCE}")


class Sql(socketserver.StreamRequestHandler):
    """The accounts by a protocol that no sidecar understands: a line in, a line out."""

    def handle(self) -> None:
        """Answer every line with the balance."""
        for _question in self.rfile:
            self.wfile.write(f"balance {BALANCE}\n".encode())


class SqlServer(socketserver.ThreadingTCPServer):
    """One thread a connection, none of which keeps the service from ending."""

    daemon_threads = True
    allow_reuse_address = True


def main() -> None:
    """Run the service named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("service", choices=["customer", "summary", "database"])
    parser.add_argument("--summary", default="", help="where customer finds summary")
    parser.add_argument("--database", default="", help="where summary finds database")
    arguments = parser.parse_args()

    Customer.summary = arguments.summary
    Summary.database = arguments.database
    if arguments.service == "database":
        threading.Thread(target=SqlServer(("", SQL_PORT), Sql).serve_forever, daemon=True).start()
    handler = {"customer": Customer, "summary": Summary, "database": Database}[arguments.service]
    ThreadingHTTPServer(("", HTTP_PORT), handler).serve_forever()


if __name__ == "__main__":
    main()
