"""A server on loopback that does as its script says, request by request: answers, failures, silence.
For tests of endpoints."""

import json
import socketserver
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, ended="stop", tokens=3):
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": ended}],
            "usage": {"completion_tokens": tokens}}


class Script:
    """`answer(number, body)` gives what request `number` (from 0) gets:
    a dict or bytes as body of a 200, or (status, headers, body).

    A body may be a list of chunks of bytes, sent with a pause of 0.05 s between them.
    """

    def __init__(self, answer):
        self.answer, self.lock = answer, threading.Lock()
        self.bodies, self.headers, self.times, self.under_way, self.most_at_once = [], [], [], 0, 0


def _handler(script):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with script.lock:
                number = len(script.bodies)
                script.bodies.append(body)
                script.headers.append(dict(self.headers))
                script.times.append(time.monotonic())
                script.under_way += 1
                script.most_at_once = max(script.most_at_once, script.under_way)
            try:
                self.path == "/v1/chat/completions" or self.send_error(404)
                self._send(script.answer(number, body))
            except OSError:
                pass  # the client has gone: what some scripts are about
            finally:
                with script.lock:
                    script.under_way -= 1

        def _send(self, answer):
            status, headers, content = answer if isinstance(answer, tuple) else (200, {}, answer)
            chunks = (content if isinstance(content, list)
                      else [content if isinstance(content, bytes) else json.dumps(content).encode()])
            self.send_response(status)
            for name, value in ({"content-type": "application/json", "content-length": str(sum(map(len, chunks)))}
                                | headers).items():
                self.send_header(name, value)
            self.end_headers()
            for i, chunk in enumerate(chunks):
                i and time.sleep(0.05)
                self.wfile.write(chunk)
                self.wfile.flush()

        def log_message(self, *arguments):
            pass

    return Handler


@contextmanager
def serving(answer):
    "A scripted server; gives its address and its script, which remembers what was asked."
    script = Script(answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", script
    finally:
        server.shutdown()
        server.server_close()


def raw(reply, status=200, headers=b""):
    "A whole reply as it goes over the wire; the connection ends with it."
    content = json.dumps(reply).encode()
    return b"HTTP/1.1 %d x\r\nconnection: close\r\ncontent-length: %d\r\n%s\r\n%s" % (status, len(content), headers, content)


@contextmanager
def speaking(speak):
    """A server on loopback of which `speak(number, request, send)` says every byte, connection by connection (from 0);
    gives its address."""
    lock, numbers, over = threading.Lock(), iter(range(10**9)), threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with suppress(OSError):  # the client has gone: what most of these are about
                self.request.settimeout(20)
                asked = b""
                while b'"messages"' not in asked and (part := self.request.recv(65536)):
                    asked += part
                with lock:
                    number = next(numbers)
                speak(number, asked, self.send)

        def send(self, content):
            if over.is_set():
                raise OSError("the test is over")
            self.request.sendall(content)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            over.set()
            server.shutdown()
