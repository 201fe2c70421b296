"""Receives the webhooks of Tertulia and prints them.

    python examples/webhook_receiver.py [port]
    OPENVIDU_WEBHOOK=true OPENVIDU_WEBHOOK_ENDPOINT=http://localhost:7777/webhook make run

Answer 2xx once the event is safe with you: without that it comes again, and later events of its
session wait. So an event can come twice; the header `webhook-id` tells.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen = set()  # keep these where your data is, and forget them after some days


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["webhook-id"] not in seen:
            seen.add(self.headers["webhook-id"])
            name = event.pop("event")
            session = event.pop("sessionId", "-")
            print(f"{event['timestamp']} {session} {name} {json.dumps(event)}", flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 7777
    with ThreadingHTTPServer(("127.0.0.1", port), Receiver) as server:
        print(f"waiting at http://localhost:{server.server_port}/webhook", flush=True)
        server.serve_forever()
