"""A local HTTP server that answers range requests, and fails in several ways."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Sends ``content``, at most ``cut`` bytes per answer; ``asked`` lists the requested ranges."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut, self.asked = content, 10**9, []
        self.ranges, self.sends_length, self.status, self.moved = True, True, 200, "/file"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/moved"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        if self.path == "/moved":  # as Mendeley redirects to its store
            self.send_response(302)
            self.send_header("Location", server.moved)
            return self.end_headers()
        server.asked.append(wanted)
        if server.status != 200:
            return self.send_error(server.status)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
        size = len(server.content)
        if start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if server.sends_length:
            self.send_header("Content-Length", str(size - start))
        self.end_headers()
        self.wfile.write(server.content[start : start + server.cut])
        return None

    def log_message(self, *arguments):
        pass
