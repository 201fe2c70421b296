"""An application server: makes a session and hands out tokens, so that browsers need no secret.

    python examples/app_server.py [port]

OPENVIDU_URL and OPENVIDU_SECRET say where Tertulia is; the defaults go with `make run`. The page in
`public/` joins the session with openvidu-browser, once you have put that file beside it.
"""

import base64
import json
import os
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

API = os.environ.get("OPENVIDU_URL", "http://localhost:4443") + "/openvidu/api/"
USER = "OPENVIDUAPP:" + os.environ.get("OPENVIDU_SECRET", "MY_SECRET")
AUTHORIZATION = "Basic " + base64.b64encode(USER.encode()).decode()


def call(path, **body):
    headers = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"}
    with urlopen(Request(API + path, json.dumps(body).encode(), headers), timeout=10) as answer:
        return json.load(answer)


class Application(SimpleHTTPRequestHandler):
    def __init__(self, *args):
        super().__init__(*args, directory=Path(__file__).parent / "public")

    def do_POST(self):  # a real one asks first who this is, and if they may
        try:
            call("sessions", customSessionId="room")
        except HTTPError as error:
            if error.code != 409:  # the session is there
                raise
        connection = call("sessions/room/connection", role="PUBLISHER")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(connection["token"].encode())


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with ThreadingHTTPServer(("127.0.0.1", port), Application) as server:
        print(f"open http://localhost:{server.server_port}", flush=True)
        server.serve_forever()
