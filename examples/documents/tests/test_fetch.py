import http.server
import os
import threading
import unittest
from unittest import mock

import fetch
from extract import Unusable


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers, body = self.server.pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Fetching(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.server.pages = {
            "/a.pdf?x=1": (200, {"Content-Length": "5"}, b"%PDF-"),
            "/moved": (302, {"Location": "/a.pdf?x=1"}, b""),
            "/loop": (301, {"Location": "/loop"}, b""),
            "/away": (302, {"Location": "file:///etc/passwd"}, b""),
            "/busy": (503, {"Retry-After": "7"}, b""),
            "/cut": (200, {"Content-Length": "50"}, b"%PDF-"),
            "/huge": (200, {"Content-Length": str(fetch.MAX_BYTES + 1)}, b""),
            "/endless": (200, {}, b"x" * 2048),
        }
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        allowed = mock.patch.dict(os.environ, {"DOCUMENTS_ALLOW_PRIVATE_URLS": "1"})
        allowed.start()
        self.addCleanup(allowed.stop)

    def test_a_file_comes_also_behind_a_redirect(self):
        self.assertEqual(fetch.fetch(f"{self.base}/a.pdf?x=1"), b"%PDF-")
        self.assertEqual(fetch.fetch(f"{self.base}/moved#top"), b"%PDF-")

    def test_what_will_never_work_says_what_to_do(self):
        for url, words in [
            (f"{self.base}/missing", "status 404. Check"), (f"{self.base}/loop", "redirects"), (f"{self.base}/away", "http://"),
            (f"{self.base}/huge", "larger than 50 MiB"), ("ftp://host/a.pdf", "http://"), ("file:///etc/passwd", "http://"),
            ("http://", "not valid"), ("http://u:p@host/", "no user name"), ("http://[", "not valid"), ("http://h:99999/", "not valid"),
            ("http://host/a b", "not valid"), ("http://host/\r\nX: y", "not valid"), ("http://a..b/", "valid host|no host"),
        ]:
            with self.assertRaisesRegex(Unusable, words, msg=url):
                fetch.fetch(url)

    def test_a_file_without_a_length_is_counted(self):
        with mock.patch.object(fetch, "MAX_BYTES", 1024), self.assertRaisesRegex(Unusable, "larger"):
            fetch.fetch(f"{self.base}/endless")

    def test_what_may_work_later_is_told_apart(self):
        with self.assertRaises(fetch.Unreachable) as caught:
            fetch.fetch(f"{self.base}/busy")
        self.assertEqual(caught.exception.after, 7)
        for url in (f"{self.base}/cut", "http://127.0.0.1:1/"):
            with self.assertRaises(fetch.Unreachable, msg=url):
                fetch.fetch(url)

    def test_no_way_leads_into_a_private_network(self):
        with mock.patch.dict(os.environ, {"DOCUMENTS_ALLOW_PRIVATE_URLS": ""}):
            for url in (self.base, "http://localhost/", "http://[::1]/", "http://0.0.0.0/", "http://2130706433/", "http://10.0.0.1/"):
                with self.assertRaisesRegex(Unusable, "private network", msg=url):
                    fetch.fetch(url)

    def test_an_address_is_not_said_to_be_itself(self):
        with mock.patch.dict(os.environ, {"DOCUMENTS_ALLOW_PRIVATE_URLS": ""}):
            for url, cause in ((self.base, "127.0.0.1 is a private address"), ("http://localhost/", "localhost leads to ")):
                with self.assertRaises(Unusable) as caught:
                    fetch.fetch(url)
                self.assertTrue(caught.exception.cause.startswith(cause), caught.exception.cause)

    def test_an_address_inside_another_is_seen(self):
        for address in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "169.254.169.254", "fe80::1%eth0", "224.0.0.1", "fc00::1"):
            self.assertFalse(fetch.is_public(address), address)
        for address in ("93.184.216.34", "2606:2800:220:1::1", "64:ff9b::808:808"):
            self.assertTrue(fetch.is_public(address), address)
